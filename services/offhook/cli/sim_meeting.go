package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// simMeeting is a meeting as the simulator takes and gives it.
type simMeeting struct {
	Number    int        `json:"number,omitempty"`
	Start     string     `json:"start,omitempty"`
	End       string     `json:"end,omitempty"`
	For       string     `json:"for,omitempty"`
	AllDay    bool       `json:"allDay,omitempty"`
	Zone      string     `json:"zone,omitempty"`
	Subject   string     `json:"subject,omitempty"`
	ShowAs    string     `json:"showAs,omitempty"`
	Response  string     `json:"response,omitempty"`
	Sensitive string     `json:"sensitivity,omitempty"`
	Attendees []string   `json:"attendees,omitempty"`
	Repeat    *simRepeat `json:"repeat,omitempty"`
}

type simRepeat struct {
	Every    string `json:"every"` // day, week or month
	Interval int    `json:"interval,omitempty"`
	Days     []int  `json:"days,omitempty"`  // 0 is Sunday
	Day      int    `json:"day,omitempty"`   // of the month
	Index    string `json:"index,omitempty"` // of days in the month: first to fourth, last
	Until    string `json:"until,omitempty"`
	Count    int    `json:"count,omitempty"`
}

// simOccurrence is a stretch of time in a calendar.
type simOccurrence struct {
	Number    int       `json:"number"`
	Date      string    `json:"date"` // which of a series
	Subject   string    `json:"subject"`
	Start     time.Time `json:"start"`
	End       time.Time `json:"end"`
	AllDay    bool      `json:"allDay"`
	ShowAs    string    `json:"showAs"`
	Cancelled bool      `json:"cancelled"`
}

// ref is how meeting move and the others name it.
func (o simOccurrence) ref() string {
	if o.Date == "" {
		return fmt.Sprint(o.Number)
	}
	return fmt.Sprintf("%d@%s", o.Number, o.Date)
}

func (o simOccurrence) what() string {
	what := o.ShowAs
	if o.AllDay {
		what += ", all day"
	}
	if o.Cancelled {
		what += ", cancelled"
	}
	return what
}

// tell asks something of the simulated tenant: path is below it, body nil or JSON.
func (s simulation) tell(c *cobra.Command, method, path string, body any) (json.RawMessage, error) {
	client, tenant, err := s.open(c.Context())
	if err != nil {
		return nil, err
	}
	var data []byte
	if body != nil {
		if data, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	raw := json.RawMessage("{}") // where the answer has no body
	return raw, client.do(c.Context(), method, tenant+path, data, &raw)
}

func (s simulation) meeting(a *app) *cobra.Command {
	c := &cobra.Command{
		Use: "meeting", Short: "What is in a user's calendar", Example: "  offhook sim meeting add anna --start 10:00 --for 45m",
		Long: "What is in a user's calendar. A MEETING is named by its number, one occurrence of a\nseries by number@date, as meeting list shows them.",
	}
	group(c)
	c.AddCommand(s.meetingAdd(), s.meetingMove(), s.meetingEnd("cancel", "Cancel a meeting; it stays visible, as cancelled", http.MethodPost, "/cancel"),
		s.meetingEnd("delete", "Remove a meeting", http.MethodDelete, ""), s.meetingList(a))
	return c
}

// times adds the flags that say when a meeting is.
func (m *simMeeting) times(c *cobra.Command) {
	c.Flags().StringVar(&m.Start, "start", "", "when it begins: 10:00, 2026-12-31T10:00, +5s or RFC 3339 (default now)")
	c.Flags().StringVar(&m.End, "end", "", "when it ends, in the same words")
	c.Flags().StringVar(&m.For, "for", "", "how long it lasts, instead of --end: 45m, 48h")
}

func (s simulation) meetingAdd() *cobra.Command {
	var m simMeeting
	var repeat simRepeat
	var days []string
	var again string
	var attendees int
	c := &cobra.Command{
		Use: "add USER", Short: "Put a meeting into a user's calendar", Args: cobra.ExactArgs(1),
		Long: "Put a meeting into a user's calendar. Times without an offset are those of the user's\nmailbox, or of --zone. What is not said is made up.",
		Example: "  offhook sim meeting add anna --start +5s --for 30s\n  offhook sim meeting add anna --all-day --start 2026-12-24 --for 72h --show-as oof\n" +
			"  offhook sim meeting add anna --start 09:00 --for 15m --repeat weekly --on mon,wed --count 10\n" +
			"  offhook sim meeting add anna --start 09:00 --repeat monthly --on fri --index last",
	}
	m.times(c)
	c.Flags().BoolVar(&m.AllDay, "all-day", false, "whole days")
	c.Flags().StringVar(&m.Zone, "zone", "", "time `zone`, by Windows' or IANA's name")
	c.Flags().StringVar(&m.Subject, "subject", "", "what it is about")
	c.Flags().StringVar(&m.ShowAs, "show-as", "busy", "free, tentative, busy, oof, workingElsewhere or unknown")
	c.Flags().StringVar(&m.Response, "response", "", "the user's answer: organizer, accepted, tentativelyAccepted, declined, notResponded or none")
	c.Flags().StringVar(&m.Sensitive, "sensitivity", "", "normal, personal, private or confidential")
	c.Flags().IntVar(&attendees, "attendees", -1, "how many people (default two)")
	c.Flags().StringVar(&again, "repeat", "", "again and again: daily, weekly or monthly")
	c.Flags().StringVar(&again, "recur", "", "day, week or month")
	_ = c.Flags().MarkHidden("recur") // the older name of --repeat; it is there
	c.Flags().IntVar(&repeat.Interval, "every", 0, "of --repeat, only every so many")
	c.Flags().StringSliceVar(&days, "on", nil, "of --repeat weekly, the `days`: mon,wed; of monthly with --index")
	c.Flags().IntVar(&repeat.Day, "day", 0, "of --repeat monthly, the day of the month; a shorter one has its last")
	c.Flags().StringVar(&repeat.Index, "index", "", "of --repeat monthly, which of --on: first, second, third, fourth or last")
	c.Flags().StringVar(&repeat.Until, "until", "", "of --repeat, the last `date`")
	c.Flags().IntVar(&repeat.Count, "count", 0, "of --repeat, how many in all")
	c.RunE = func(c *cobra.Command, args []string) error {
		m.Attendees = nil
		for i := range max(attendees, 0) {
			m.Attendees = append(m.Attendees, fmt.Sprintf("guest%d@partner.example", i+1))
		}
		body := map[string]any{}
		if attendees == 0 {
			body["attendees"] = []string{}
		}
		for _, day := range days {
			n := slices.Index(weekdays, strings.ToLower(day))
			if n < 0 {
				return usage(c, fmt.Sprintf("%q is no day; say one of %s", day, strings.Join(weekdays, ", ")))
			}
			repeat.Days = append(repeat.Days, n)
		}
		if again != "" {
			every, ok := repeats[strings.ToLower(again)]
			if !ok {
				return usage(c, fmt.Sprintf("nothing repeats %q; say daily, weekly or monthly", again))
			}
			repeat.Every = every
			m.Repeat = &repeat
		}
		if err := merge(body, m); err != nil {
			return err
		}
		raw, err := s.tell(c, http.MethodPost, "/users/"+url.PathEscape(args[0])+"/meetings", body)
		if err != nil {
			return err
		}
		var made simMeeting
		return s.show(c.OutOrStdout(), raw, &made, func() [][]string { return [][]string{{fmt.Sprint(made.Number), made.Start, made.End, made.ShowAs}} })
	}
	return c
}

// repeats are the words for how a meeting repeats, and what the simulator calls them.
var repeats = map[string]string{"daily": "day", "weekly": "week", "monthly": "month", "day": "day", "week": "week", "month": "month"}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// merge adds the members of a value to an object.
func merge(into map[string]any, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, &into)
}

func (s simulation) meetingMove() *cobra.Command {
	var m simMeeting
	c := &cobra.Command{
		Use: "move USER MEETING", Short: "Give a meeting another time", Args: cobra.ExactArgs(2),
		Example: "  offhook sim meeting move anna 1 --start 11:00\n  offhook sim meeting move anna 2@2026-12-07 --start 2026-12-08T09:00 --for 30m",
	}
	m.times(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		raw, err := s.tell(c, http.MethodPatch, meetingPath(args), m)
		if err != nil {
			return err
		}
		return s.show(c.OutOrStdout(), raw, &m, func() [][]string { return [][]string{{args[1], "moved"}} })
	}
	return c
}

func meetingPath(args []string) string {
	return "/users/" + url.PathEscape(args[0]) + "/meetings/" + url.PathEscape(args[1])
}

func (s simulation) meetingEnd(verb, short, method, below string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " USER MEETING", Short: short, Args: cobra.ExactArgs(2),
		Example: "  offhook sim meeting " + verb + " anna 1\n  offhook sim meeting " + verb + " anna 2@2026-12-07",
		RunE: func(c *cobra.Command, args []string) error {
			_, err := s.tell(c, method, meetingPath(args)+below, nil)
			return err
		},
	}
}

func (s simulation) meetingList(a *app) *cobra.Command {
	c := &cobra.Command{
		Use: "list USER", Short: "List what a user's calendar holds", Args: cobra.ExactArgs(1),
		Long:    "List what a user's calendar holds, series as their occurrences: the truth to compare with.",
		Example: "  offhook sim meeting list anna\n  offhook sim meeting list anna --from 2026-12-01 --to 2026-12-31",
	}
	from := c.Flags().String("from", "", "`time` in the words of meeting add (default a day ago)")
	to := c.Flags().String("to", "", "`time` (default in a week)")
	c.RunE = func(c *cobra.Command, args []string) error {
		query := url.Values{"from": {*from}, "to": {*to}}
		raw, err := s.tell(c, http.MethodGet, "/users/"+url.PathEscape(args[0])+"/calendar?"+query.Encode(), nil)
		if err != nil {
			return err
		}
		var all []simOccurrence
		return s.show(c.OutOrStdout(), raw, &all, func() [][]string {
			rows := [][]string{{"MEETING", "BEGINS", "ENDS", "SHOWS", "SUBJECT"}}
			for _, o := range all {
				rows = append(rows, []string{o.ref(), a.clock(o.Start), a.clock(o.End), o.what(), o.Subject})
			}
			return rows
		})
	}
	return c
}
