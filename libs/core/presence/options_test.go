package presence_test

import (
	"testing"

	"offhook.dev/libs/core/presence"
)

func TestTheWordsOfTheConfigurationAreRead(t *testing.T) {
	for word, parse := range map[string]func(string) (string, error){
		"disabled": as(presence.ParseMode), "teams-to-pbx": as(presence.ParseMode), "pbx-to-teams": as(presence.ParseMode), "both": as(presence.ParseMode), "calendar": as(presence.ParseMode),
		"teams-first": as(presence.ParseCombine), "strongest": as(presence.ParseCombine),
		"auto": as(presence.ParsePolicy), "until-cleared": as(presence.ParsePolicy), "ignore": as(presence.ParsePolicy),
		"extension": as(presence.ParseScope), "user": as(presence.ParseScope),
	} {
		if got, err := parse(word); err != nil || got != word {
			t.Errorf("%q is read as %q, %v", word, got, err)
		}
		for _, bad := range []string{"", "Auto", word + " ", "nonsense"} {
			if got, err := parse(bad); err == nil {
				t.Errorf("%q is read as %q next to %q", bad, got, word)
			}
		}
	}
}

func as[T ~string](parse func(string) (T, error)) func(string) (string, error) {
	return func(word string) (string, error) {
		got, err := parse(word)
		return string(got), err
	}
}

func TestProjection(t *testing.T) {
	dndOnly := presence.Powers{Write: presence.SetOf(presence.Available, presence.DND)}
	for _, test := range []struct {
		says      string
		powers    presence.Powers
		want      presence.Status
		shown     presence.Status
		projected bool
	}{
		{"what can be written stays", dndOnly, presence.DND, presence.DND, false},
		{"away becomes available", dndOnly, presence.Away, presence.Available, true},
		{"lunch becomes available", dndOnly, presence.Lunch, presence.Available, true},
		{"nothing stays nothing", dndOnly, presence.Unset, presence.Unset, false},
		{"dnd goes towards ringing too", presence.Powers{Write: presence.SetOf(presence.Available)}, presence.DND, presence.Available, true},
		{"without available nothing helps", presence.Powers{Write: presence.SetOf(presence.DND)}, presence.Away, presence.Away, false},
	} {
		if shown, projected := test.powers.Project(test.want); shown != test.shown || projected != test.projected {
			t.Errorf("%s: %v becomes %v, projected %v", test.says, test.want, shown, projected)
		}
	}
}

func TestStatusWords(t *testing.T) {
	for _, s := range append(presence.Statuses(), presence.Unset) {
		if got, err := presence.ParseStatus(s.String()); err != nil || got != s {
			t.Errorf("%v is read as %v, %v", s, got, err)
		}
		if presence.All.Has(s) != (s != presence.Unset) {
			t.Errorf("All has %v: %v", s, presence.All.Has(s))
		}
	}
	for _, bad := range []string{"DND", "busy", " away"} {
		if got, err := presence.ParseStatus(bad); err == nil {
			t.Errorf("%q is read as %v", bad, got)
		}
	}
}
