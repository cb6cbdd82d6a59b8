package runner

import "slices"

// mostLearned is how many values a Redactor learns before it forgets the oldest. A token is renewed every eight minutes
// at most, so that one this old has long expired; and it would still go by its shape.
const mostLearned = 64

// learned redacts values that came up while dbt ran.
type learned struct {
	*Redactor
	values []string
}

// Learn adds a value that must not leave the pod from now on. It may be called while dbt runs, by one goroutine at a time.
func (r *Redactor) Learn(value string) {
	var values []string
	if l := r.learned.Load(); l != nil {
		values = l.values
	}
	if slices.Contains(values, value) {
		return
	}
	values = append(values[max(0, len(values)-mostLearned+1):len(values):len(values)], value)
	r.learned.Store(&learned{NewRedactor(values), values})
}
