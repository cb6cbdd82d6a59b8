package store

// Another returns a store on the place of another, as a second process would have it. Closing it leaves the place open.
func Another(s *Store) *Store { return newStore(shared{s.objects}) }

type shared struct{ objects }

func (shared) close() error { return nil }
