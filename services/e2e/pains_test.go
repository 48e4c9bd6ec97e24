package e2e

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// pain is something that users of other systems suffer from, and the test that shows
// what it is like here. Numbers are those of the list that the project keeps of what
// users of other systems complain about.
type pain struct {
	number   int
	sentence string
	folder   string
	test     string // "TestName", or "TestName/a case of its table or scene"
}

// pains are those about presence, calendars, users and contacts.
var pains = []pain{
	{1, "more than 650 users cannot be watched", "libs/core/coverage", "TestALaneHas650UsersAtMost"},
	{1, "coverage is shared out between accounts", "services/graph-poller/poller", "TestAnAccountThatIsGivenUpLeavesItsUsersToTheOthers"},
	{2, "nobody knows who is left out", "services/control-api/api", "TestLanesAreListedWithWhatIsWrong"},
	{2, "whoever is left out is named", "services/offhook/cli", "TestStatusNamesWhoIsLeftOut/who is on no lane"},
	{2, "and so is whose value is old", "services/offhook/cli", "TestStatusNamesWhoIsLeftOut/who is older than three sweeps"},
	{3, "one account, and if its sign-in breaks all stops", "services/graph-poller/poller", "TestALaneWhoseTokenIsRevokedIsShownAndRecoversAfterASignIn"},
	{3, "accounts with a second factor sign in", "services/graph-poller/poller", "TestAPersonSignsAnAccountInAndItHearsOfPresences"},
	{4, "a subscription that is alive and silent", "services/graph-poller/poller", "TestASilentSubscriptionIsFoundAndMadeAnew"},
	{5, "a renewal that is answered 200 and did nothing", "services/graph-poller/poller", "TestWhatDoesNotHoldIsReplaced/one whose renewal is answered 200 and does nothing"},
	{5, "the same with a calendar", "services/graph-poller/poller", "TestAnEventSubscriptionThatDoesNotHoldIsReplaced"},
	{6, "subscriptions that are dead after a weekend", "services/graph-poller/poller", "TestAnExpiredEventSubscriptionIsReplacedAtTheStart"},
	{6, "and those of presences", "services/graph-poller/poller", "TestWhatAnEarlierLifeLeftIsRemoved"},
	{7, "what happens while the endpoint is down", "services/e2e", "TestWhatHappensWhileNobodyAnswersGraphIsToldAfterwards"},
	{7, "what cannot be stored is asked for again", "services/webhook-receiver/receiver", "TestWhatCannotBeStoredIsAnswered503AtOnce"},
	{7, "Graph says that changes were missed", "services/webhook-receiver/receiver", "TestWhatAPostAboutACalendarBecomes/missed: the calendar is read"},
	{8, "several notifications of one change", "services/e2e", "TestManyNotificationsOfOneChangeAreOneWrite"},
	{9, "notifications that are missing and out of order", "services/graph-poller/poller", "TestWhateverHappensToNotificationsOneSweepLaterTheTruthIsStored"},
	{10, "both directions chase each other for ever", "libs/core/presence", "TestAClosedLoopOfBothSidesFallsSilent"},
	{10, "what Offhook made the phone show does not pin Teams", "services/e2e", "TestAPhoneThatOffhookMadeSilentDoesNotPinTeams"},
	{11, "Teams stays busy after a call inside of a meeting", "services/e2e", "TestACallInsideOfAMeetingLeavesTeamsAsTheMeetingHasIt"},
	{12, "what a person pinned is cleared by somebody else (that it never ends by itself is Microsoft's, and Graph does not say that it is a pin, so neither does Offhook)", "services/e2e", "TestWhatAPersonPinnedInTeamsIsLeftAlone"},
	{12, "what a person sets over a pin of ours stays", "libs/core/presence", "TestScenes/mode both: DND on the phone pins Teams; the person resets Teams to Available: phone available, pin not fought for"},
	{12, "a pin of ours ends by itself", "libs/core/presence", "TestScenes/mode both: Offhook dies while a pin of its own is live: it has ended within 2 h, nothing is cleared"},
	{13, "what Teams does not show is written again and again", "libs/core/presence", "TestScenes/mode both: Teams closed, the pin does not show: accepted, not visible, no rewriting"},
	{14, "Teams shows a change late, and nobody knows whose fault it is", "services/control-api/api", "TestStatusSaysWhatTeamsIsMadeToShowAndWhatCameOfIt"},
	{14, "both clocks are told", "services/control-api/api", "TestExplainFollowsACallToTheAnswerOfGraph"},
	{15, "a state that fades before its time", "services/graph-writer/graphwriter", "TestASessionThatFadesIsSetAgain"},
	{15, "the same with everything between phone and Teams", "services/e2e/virtual", "TestACallIsShownAlthoughItsSessionFades"},
	{15, "a pin is refreshed before it ends", "libs/core/presence", "TestScenes/mode both: a pin that Teams shows is refreshed at half its life, in its old age DND stays"},
	{16, "Teams rings over a call on the phone: it does here too; the call is shown and nothing is silenced", "services/e2e", "TestACallOnThePhoneIsShownAndSilencesNothingInTeams"},
	{17, "in a call for ever after a crash", "libs/core/presence", "TestScenes/a call whose watch is lost is taken for ended ten minutes after the last word"},
	{17, "after a restart the calls are told as they are", "services/pbx-writer/writer", "TestAStartedWriterTellsWhatIsSo"},
	{18, "minutes late at the edges of meetings", "services/e2e", "TestAMeetingReachesThePhoneByNotificationAndEndsThere"},
	{18, "and not to the second", "services/e2e/virtual", "TestWhatIsWantedChangesWithinASecondOfEachEdgeOfAMeeting"},
	{18, "back-to-back meetings are one stretch of time", "libs/core/calendar", "TestMeetingsThatMeetEndWithTheLast/back to back"},
	{19, "a status that nobody can explain", "services/control-api/api", "TestExplainTellsTheChainFromTheNotificationToThePhoneSystemsAnswer"},
	{20, "the status of before does not come back", "libs/core/presence", "TestScenes/lunch, and a meeting comes and goes: dnd over it, lunch returns"},
	{20, "what a person chose is overwritten", "libs/core/presence", "TestScenes/person sets DND, Teams goes idle and back: DND stays"},
	{21, "overlapping and nested meetings end too early", "libs/core/calendar", "TestMeetingsThatMeetEndWithTheLast"},
	{22, "a status for a time never reverts", "services/presence-mapper/mapper", "TestATimerThatNeverFiresIsMadeUpForByTheMinutePass"},
	{22, "two nodes end it twice", "services/presence-mapper/mapper", "TestTwoMappersDecideAsOne"},
	{22, "a status set until a time ends then", "services/presence-mapper/mapper", "TestAStatusSetInOffhookHoldsUntilItsTime"},
	{23, "all-day events make away all day, or are ignored", "libs/core/calendar", "TestAllDayEventsCountAsWhatTheyShowUnlessARuleSaysOtherwise"},
	{24, "tentative, unanswered, elsewhere and away are all the same", "libs/core/calendar", "TestEachKindOfEventCanCountAsItsOwn"},
	{25, "focusing arrives as something else", "libs/core/presence", "TestTheDefaultTable/focusing"},
	{26, "what Graph cannot set is accepted in the configuration", "libs/core/presence", "TestWhatCannotBePreferredIsRefusedWithAReason"},
	{26, "and tried for ever", "services/graph-writer/graphwriter", "TestEachWantDoesWhatItNeedsAndNoMore/what Graph cannot express"},
	{27, "meetings off by hours or a day", "libs/graph/msgraph", "TestWhatACalendarHolds/a day on which the clocks change has 23 hours"},
	{27, "time zones that only Windows knows", "libs/graph", "TestATimeZoneIsKnownByEitherName"},
	{27, "whatever the zone, and over changes of the clocks", "libs/core/calendar", "TestRandomCalendarsAgreeWithTheOracle"},
	{28, "everybody's meetings are read and kept", "services/e2e", "TestNothingOfAMeetingIsKept"},
	{28, "everybody's contacts are read and kept", "services/contact-sync/contactsync", "TestNothingOfAContactStaysAtRest"},
	{29, "numbers are ruined by prefixes and country codes", "libs/core/directory", "TestNumbersOfContacts/as they are written"},
	{30, "the old number is shown beside the new one", "services/contact-sync/contactsync", "TestANumberThatWasRemovedDisappears"},
	{31, "contacts multiply", "services/contact-sync/contactsync", "TestItDiesAtEveryStepAndNothingIsDoneTwice"},
	{31, "whatever a mailbox goes through", "services/contact-sync/contactsync", "TestABookEndsAsItsMailboxWhateverHappens"},
	{32, "what is deleted in the phone system is gone for good, or back under another number", "services/user-sync/usersync", "TestUsersGetExtensionsLoseThemAndComeBack"},
	{32, "what is deleted in Microsoft 365 stays in the phone system", "libs/core/directory", "TestLeaving"},
	{33, "memory runs out with large directories", "libs/core/directory", "TestAUserWithNothingToDoCostsLittleMemory"},
	{33, "and with large address books", "services/contact-sync/contactsync", "TestAnEntryCostsLittle"},
	{34, "users without names are left out without a word", "libs/core/directory", "TestWhoGetsNone/no name"},
	{35, "a certificate ends, and all stops without a word", "services/offhook/doctor", "TestEachProblemIsFoundAndSaysHowToMendIt/the app's certificate ends soon"},
	{35, "a new one counts only after everything is set up anew", "libs/config", "TestSecretsAreReadWhenAskedFor"},
	{36, "whoever moves to another domain hears of it when nothing works any more", "services/offhook/doctor", "TestAPublicAddressThatItsCertificateDoesNotFitIsFound/a new domain with the certificate of the old one"},
	{37, "what was chosen once cannot be chosen anew", "services/user-sync/usersync", "TestThePolicyCanBeChosenAnewAtAnyTime"},
	{37, "and is seen only when it is done", "services/user-sync/usersync", "TestWithoutAPolicyNothingIsMadeByItself"},
	{38, "a principal name is no address, and addresses are doubled", "libs/core/directory", "TestAdoption"},
	{38, "conflicts are guessed", "libs/core/directory", "TestConflictsNameBothSides"},
	{39, "all or nothing: one person or group has no say", "services/e2e", "TestOptionsOfAGroupReachThePhonesOfItsMembers"},
	{40, "the statuses of the phone system's own are taken away", "services/pbx-writer/writer", "TestAStatusOfThePhoneSystemsOwnIsLeftAlone"},
	{43, "a cursor that is lost becomes a mass deletion", "services/graph-poller/poller", "TestAnExpiredCursorNeverDeletesByItself"},
	{43, "or an error", "libs/graph/msgraph", "TestALostCursorIsAValue"},
	{44, "limits that nobody writes down", "libs/graph", "TestReadersAndWritersDivideEachQuotaFourToOne"},
	{44, "users are read as many at a time as Graph takes", "services/graph-poller/poller", "TestUsersAreReadInBatchesOf650AndAFailedBatchCostsItsUsersOnly"},
	{45, "notifications without content say nothing", "services/webhook-receiver/receiver", "TestWhatIsFoundInsideOfAStoredPost/one without content becomes a hint"},
	{46, "it is not there when the other node has taken over", "services/pbx-writer/writer", "TestOfTwoWritersOneOwnsAndTheOtherTakesOver"},
	{46, "nor when any service is killed", "services/e2e", "TestServicesApart"},
	{46, "hours without Graph end as if they had not been", "services/e2e/virtual", "TestGraphIsAwayForHoursWhileThreeHundredAreBusy"},
	{47, "two tools fight over one user", "services/graph-writer/graphwriter", "TestTheBreakerStopsSaysSoAndTriesAgain"},
	{47, "the same on the phone", "services/pbx-writer/writer", "TestAProgramThatFightsOverAnExtensionIsNotFoughtForEver"},
	{47, "the phone system's own sync is such a tool", "services/pbx-writer/writer", "TestNothingIsWrittenWhileThePhoneSystemSyncsStatusesItself"},
	{49, "a cloud that lacks a call fails the rest", "services/e2e", "TestWhateverACloudLacksTheRestWorks"},
	{50, "a notification that anybody can forge", "services/webhook-receiver/receiver", "TestWhateverIsWrongIsAnswered202WithNothingInIt"},
	{50, "its tokens are not looked at", "services/webhook-receiver/receiver", "TestAForgedTokenMakesNoFactAndIsNeverParked"},
}

// aboutPresence are the numbers of the list that are about presence or calendars. 41 and 42
// are not: they are about queues of calls, to which Offhook neither adds anybody nor
// removes anybody; what a status means to a queue is the phone system's to say.
var aboutPresence = []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 39, 40, 44, 45, 46, 47, 49, 50}

// aboutPeople are those about users and contacts. Of 35 and 36 the tests show what there
// is: an end is warned of and a new certificate counts at once, an address is checked. That
// two certificates are valid side by side, and the addresses of a sign-in, are not there
// yet.
var aboutPeople = []int{28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 43}

// TestEachPainHasItsTest is the register: what stands in it is there to be run.
func TestEachPainHasItsTest(t *testing.T) {
	folders := map[string]*testNames{}
	for _, p := range pains {
		if folders[p.folder] == nil {
			names, err := readTests(filepath.Join("..", "..", filepath.FromSlash(p.folder)))
			if err != nil {
				t.Fatal(err)
			}
			folders[p.folder] = names
		}
		if why := folders[p.folder].lacks(p.test); why != "" {
			t.Errorf("pain %d, %s: %s: %s", p.number, p.sentence, p.folder, why)
		}
	}
	for _, number := range slices.Concat(aboutPresence, aboutPeople) {
		if !slices.ContainsFunc(pains, func(p pain) bool { return p.number == number }) {
			t.Errorf("nothing shows what pain %d is like here", number)
		}
	}
	if !slices.IsSortedFunc(pains, func(a, b pain) int { return a.number - b.number }) {
		t.Error("the register is not in order")
	}
}

// testNames are the tests of a package, each with the cases of its own.
type testNames struct {
	cases  map[string]map[string]bool // what a test's tables and its calls of Run name, by the test
	played map[string]bool            // the tests that play testdata/scenes.txt
	scenes string                     // testdata/scenes.txt, or ""
}

// scenesFile is where scenes are, beside the test that plays them.
const scenesFile = "testdata/scenes.txt"

func readTests(folder string) (*testNames, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no tests in %s (%v)", folder, err)
	}
	names := &testNames{cases: map[string]map[string]bool{}, played: map[string]bool{}}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range parsed.Decls {
			if d, ok := d.(*ast.FuncDecl); ok && d.Recv == nil && strings.HasPrefix(d.Name.Name, "Test") {
				names.add(d)
			}
		}
	}
	scenes, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(scenesFile)))
	if err == nil {
		names.scenes = "\n" + string(scenes)
	}
	return names, nil
}

// add reads a test: a text counts as the name of a case where it stands in a table (an
// element, a key or a field of a composite literal) or is what Run is called with.
func (n *testNames) add(test *ast.FuncDecl) {
	cases := map[string]bool{}
	n.cases[test.Name.Name] = cases
	named := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				cases[text] = true
			}
		}
	}
	ast.Inspect(test, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.CompositeLit:
			for _, e := range node.Elts {
				named(e)
			}
		case *ast.KeyValueExpr:
			named(node.Key)
			named(node.Value)
		case *ast.CallExpr:
			if f, ok := node.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Run" && len(node.Args) > 0 {
				named(node.Args[0])
			}
		case *ast.BasicLit:
			n.played[test.Name.Name] = n.played[test.Name.Name] || node.Value == strconv.Quote(scenesFile)
		}
		return true
	})
}

// lacks says what of a test is not there, or "". A case has to be one of the test's own:
// what stands in another test, or is only said somewhere, is not a case of it.
func (n *testNames) lacks(test string) string {
	name, part, parted := strings.Cut(test, "/")
	cases, there := n.cases[name]
	switch {
	case !there:
		return "there is no " + name
	case parted && !cases[part] && !(n.played[name] && strings.Contains(n.scenes, "\n== "+part+"\n")):
		return fmt.Sprintf("%s has no case %q", name, part)
	}
	return ""
}

// Controls: what is not there is missed, also where its text stands nearby.
func TestACaseIsLookedForInItsOwnTest(t *testing.T) {
	folder := t.TempDir()
	must(t, os.Mkdir(filepath.Join(folder, "testdata"), 0o700))
	must(t, os.WriteFile(filepath.Join(folder, filepath.FromSlash(scenesFile)), []byte("== a day\n\n== a night\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(folder, "a_test.go"), []byte(`package a

func TestTable(t *testing.T) {
	for name, c := range map[string]struct{ is string }{"a key": {"the first field"}, "another": {is: "a named field"}} {
		t.Run("run/"+name, func(t *testing.T) { t.Error("only said") })
	}
	t.Run("run by itself", nil)
}

func TestOther(t *testing.T) { _ = []struct{ name string }{{"of the other"}} }

func TestScenes(t *testing.T) { play(t, "testdata/scenes.txt") }

func helper() []string { return []string{"of nobody"} }
`), 0o600))
	names, err := readTests(folder)
	must(t, err)
	for _, test := range []string{"TestTable", "TestTable/a key", "TestTable/the first field", "TestTable/a named field", "TestTable/run by itself",
		"TestOther/of the other", "TestScenes/a day", "TestScenes/a night"} {
		if why := names.lacks(test); why != "" {
			t.Errorf("%s is there, and %s", test, why)
		}
	}
	for _, test := range []string{"Test", "TestNothingAtAll", "helper", "TestTable/of the other", "TestTable/only said", "TestTable/of nobody",
		"TestTable/a day", "TestOther/a key", "TestScenes/a", "TestScenes/a key"} {
		if names.lacks(test) == "" {
			t.Errorf("control: %s is there", test)
		}
	}
}
