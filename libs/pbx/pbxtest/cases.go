package pbxtest

import (
	"offhook.dev/libs/pbx"
)

// suiteCase is one claim about every driver.
type suiteCase struct {
	name string
	run  func(t T, open func() Harness)
}

// on makes a case of a function over one harness, which it closes.
func on(name string, run func(t T, h Harness)) suiteCase {
	return suiteCase{name, func(t T, open func() Harness) {
		h := open()
		defer h.Close()
		defer h.Driver().Close()
		defer h.Inject(None) // before Close, which waits for what hangs
		run(t, h)
	}}
}

// cases is the suite, in the order in which one would want to know.
var cases = []suiteCase{
	on("declared powers are those implemented", declaredPowers),
	on("every declared status is shown once set", everyDeclared),
	on("a status that a person chose is read", choiceIsRead),
	on("setting the same status twice is one state", twiceIsOnce),
	on("the last of many writes wins", lastWins),
	on("writes to different extensions do not mix", noMixing),
	on("an undeclared status is unsupported and never sent", undeclared),
	on("a read of an unknown extension is not found", unknownRead),
	on("a write to an unknown extension is not found", unknownWrite),
	on("a listing has every extension once, as it is shown", listing),
	on("a listing ends with the error of its reader", listingStops),
	on("the inventory has every extension once", inventory),
	on("one call is one request", oneRequest),
	on("a failed call is not repeated", noRepetition),
	on("throttling carries its delay", throttled),
	on("a missing right is denied", denied),
	on("a write that was turned away is unavailable and changes nothing", turnedAway),
	on("a write whose answer is lost is a timeout", lostAnswer),
	on("a senseless answer is classified", garbage),
	on("a cancelled call returns promptly", cancelled),
	on("a passed deadline is a timeout", deadline),
	on("faults leave nothing behind", recovers),
	on("a watch tells of a call and of its end", watchTellsOfCalls),
	on("a watch tells of a status that a person chose", watchTellsOfStatuses),
	on("a watch tells what is the case before it says that this was all", watchSyncs),
	on("a watch ends when it is cut, and a new one tells the truth", watchResumes),
	on("a cancelled watch ends promptly", watchIsCancelled),
	on("closing twice is closing once", closeTwice),
	{"no goroutine is left after close", noGoroutine},
	{"closing ends a watch and leaves nothing of it", watchIsClosed},
}

// powers of the driver under test.
func powers(h Harness) pbx.Capabilities { return h.Driver().Capabilities() }
