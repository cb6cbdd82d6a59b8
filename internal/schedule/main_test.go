package schedule

import (
	"flag"
	"os"
	"testing"
)

// checks is how many cases each property test tries, unless -rapid.checks says otherwise.
const checks = "3000"

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", checks); err != nil {
		panic(err)
	}
	flag.Parse()
	os.Exit(m.Run())
}
