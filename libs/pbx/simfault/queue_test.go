package simfault_test

import (
	"strings"
	"testing"

	"offhook.dev/libs/pbx/simfault"
)

func TestFaultsHappenInOrderToWhomTheyMeet(t *testing.T) {
	q := simfault.New[string]()
	q.Add("write: twice", 0, 2)
	q.Add("read: always", 0, 0)
	q.Add("write: after one", 1, 1)
	take := func(request string) string {
		fault, _ := q.Take(func(f string) bool { return strings.HasPrefix(f, request) })
		return fault
	}
	for i, want := range []struct{ request, fault string }{
		{"write", "write: twice"}, {"read", "read: always"}, {"write", "write: twice"},
		{"write", ""}, {"write", "write: after one"}, {"write", ""}, {"read", "read: always"}, {"other", ""},
	} {
		if got := take(want.request); got != want.fault {
			t.Errorf("request %d, %s: %q, want %q", i+1, want.request, got, want.fault)
		}
	}
	q.Clear()
	if got := take("read"); got != "" {
		t.Errorf("after all were cleared: %q", got)
	}
}

func TestWhatHangsIsLetGoOf(t *testing.T) {
	q := simfault.New[string]()
	_, first := q.Take(func(string) bool { return true })
	q.Release()
	<-first
	_, second := q.Take(func(string) bool { return true })
	select {
	case <-second:
		t.Error("what hangs later was let go of before")
	default:
	}
	q.Clear()
	<-second
}
