// Package lifecycle decides what a DbtRun does next. It knows the run, its resolved project, its Job and pods, the
// report of its runner, the other runs of its concurrency group and the time; from these alone it returns one step
// with a reason and a message. It never knows a client, a clock, a logger or how a Job is built.
//
// Decide is a chain of small questions, each answered by one function: is it over, must it stop, has it ended, is its
// Job gone, can it be carried out, may it begin, how far has it come. The first that has an answer decides.
package lifecycle
