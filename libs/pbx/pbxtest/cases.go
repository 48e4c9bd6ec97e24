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
	on("every power that is implemented is declared", implementedIsDeclared),
	on("every power that is declared is implemented, and can be checked", declaredIsImplemented),
	on("every declared status is shown once set", everyDeclared),
	on("a status that a person chose is read", choiceIsRead),
	on("setting the same status twice is one state", twiceIsOnce),
	on("the last of many writes wins", lastWins),
	on("writes to different extensions do not mix", noMixing),
	on("an undeclared status is unsupported and never sent", undeclared),
	on("a read of an unknown extension is not found", unknownRead),
	on("a write to an unknown extension is not found", unknownWrite),
	on("the statuses of several extensions are read with one request", severalAtOnce),
	on("a listing has every extension once, as it is shown", listing),
	on("a listing ends with the error of its reader", listingStops),
	on("the inventory has every extension once", inventory),
	on("a listing while some come and go has all who stay, once", listingWhileChanging),
	on("a cancelled listing ends promptly", cancelledListing),
	on("an extension that was made is what was asked for", made),
	on("a number that is taken is a conflict and changes nothing", takenNumber),
	on("changing an extension twice is one state", changedTwice),
	on("a change is of what it names and of nothing else", changedOnly),
	on("an extension is disabled and enabled again", disabled),
	on("a marker that is left later is kept", marked),
	on("a department that there is not is made, and none is none", departments),
	on("texts of extensions arrive as they are or are refused", extensionTexts),
	on("texts of extensions as long as is declared are taken", extensionLimits),
	on("an extension that there is not cannot be read or changed", unknownExtension),
	on("a field that cannot be written is unsupported and never sent", unwritableField),
	on("of several deletions each succeeds or fails by itself", deletions),
	on("an extension deleted twice is not found, and no error of the others", deletedTwice),
	on("too many deletions at once are refused whole", deletionsBeyondBatch),
	on("strangers are untouched by what is done to others", strangersUntouched),
	on("a full licence is a clear stop", licenceFull),
	on("an extension whose making was turned away is not there", makingTurnedAway),
	on("an extension whose making lost its answer is a timeout", makingLostAnswer),
	on("a call about an extension is one request, or as many as is said", about(asManyRequests, extensionErrands)),
	on("a failed call about an extension is not repeated", about(writesOnce, extensionErrands)),
	on("throttling of calls about extensions carries its delay", about(carryTheDelay, extensionErrands)),
	on("a missing right to extensions is denied", about(areDenied, extensionErrandsOrList)),
	on("a senseless answer about extensions is classified", about(areClassified, extensionErrandsOrList)),
	on("an entry that was made is what was asked for", entered),
	on("an entry keeps its source through changes", sourceKept),
	on("a changed entry is whole: numbers that were removed disappear", entryChanged),
	on("changing an entry twice is one entry", entryChangedTwice),
	on("entries of others are listed as theirs and untouched", foreignEntries),
	on("books do not mix", booksApart),
	on("texts of entries arrive as they are or are refused", entryTexts),
	on("texts of entries as long as is declared are taken", entryLimits),
	on("an entry that there is not cannot be changed", unknownEntry),
	on("an entry deleted twice is no error", entryDeletedTwice),
	on("too many entries deleted at once are refused whole", entriesBeyondBatch),
	on("a number without a place is unsupported and never sent", numberWithoutPlace),
	on("a book that there is not cannot be read or written", unknownBook),
	on("a long book has every entry once, also while it changes", longBook),
	on("an entry whose making lost its answer is a timeout", enteringLostAnswer),
	on("a call about an entry is one request, or as many as is said", about(asManyRequests, bookErrands)),
	on("a failed call about an entry is not repeated", about(writesOnce, bookErrands)),
	on("throttling of calls about entries carries its delay", about(carryTheDelay, bookErrands)),
	on("a missing right to a book is denied", about(areDenied, bookErrands)),
	on("a senseless answer about a book is classified", about(areClassified, bookErrands)),
	on("a photo is set, replaced and removed", photoSet),
	on("a photo of nobody is not found", photoOfNobody),
	on("a photo as all are made is taken, of either type", photoAsMade),
	on("a picture of another type is unsupported and never sent", pictureType),
	on("a photo is one request, or as many as is said", about(asManyRequests, photoErrands)),
	on("a photo that was not taken is not sent again", about(writesOnce, photoErrands)),
	on("throttling of a photo carries its delay", about(carryTheDelay, photoErrands)),
	on("a missing right to a photo is denied", about(areDenied, photoErrands)),
	on("a senseless answer about a photo is classified", about(areClassified, photoErrands)),
	on("a number is called each time that it is dialled, for who dialled it", dialledEachTime),
	on("what is no number is invalid and never sent", dialledNoNumber),
	on("dialling for an extension that there is not is not found", dialledForNobody),
	on("dialling that was turned away is unavailable and calls nobody", dialledInVain),
	on("dialling whose answer is lost is a timeout and one call", dialledUnheard),
	on("dialling is one request, or as many as is said", about(dialsOnce, dialErrands)),
	on("dialling that failed is not repeated", about(writesOnce, dialErrands)),
	on("one call is one request", oneRequest),
	on("a listing of statuses asks for nothing twice", listsOnce),
	on("the phone system's own sync is one request, or as many as is said", about(asManyRequests, syncErrands)),
	on("a failed call is not repeated", noRepetition),
	on("a failed read is not repeated", about(readsOnce, allReads)),
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
	leavesNothing("nothing is left of calls that were cancelled", cancelledWhileHanging),
	leavesNothing("nothing is left of a watch that was cancelled", watchCancelled),
	leavesNothing("a watch that is cancelled while it connects ends promptly and leaves nothing", watchCancelledEarly),
	{"closing ends a watch and leaves nothing of it", watchIsClosed},
}

// powers of the driver under test.
func powers(h Harness) pbx.Capabilities { return h.Driver().Capabilities() }
