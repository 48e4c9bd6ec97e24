package cli

import (
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/wire"
)

// reasons words why a change is made, or is not, as a half sentence about the user,
// extension or contact in question. A reason that is not here is of a later version,
// and is shown as it is.
var reasons = map[string]string{
	plan.ByPolicy: "the policy does not let it be done",

	"new":              "there is none yet",
	"resumed":          "begun before: whether it was done is not known",
	"deleted-there":    "somebody removed it on the phone system",
	"differs":          "Microsoft 365 says otherwise",
	"marker":           "it is marked with the user's object id",
	"address":          "it has the user's mail address",
	"configured":       "the configuration says so (tenants.links)",
	"back":             "the user is back",
	"hold-over":        "the user left and did not come back (users.hold)",
	"put-back":         "somebody enabled it again, and the user is gone",
	"confirmed":        "what was reserved is there",
	"reservation-over": "nothing was made of the reservation",

	"gone":             "the account is deleted",
	"account-disabled": "the account is disabled",
	"out-of-scope":     "they are not among those chosen (users.include, exclude, groups)",
	"guest":            "guests get none (users.guests)",
	"resource-mailbox": "it is a room, a device or a shared mailbox",
	"no-name":          "there is neither a first nor a last name in Microsoft 365",
	"unsure":           "it is not certain who is chosen: nothing is taken away",
	"numbers-full":     "no number is free (users.start_extension)",
	"licence-full":     "the phone system's licence takes no more extensions",
	same:               "all is as it should be",

	"several-extensions":  "several extensions fit the user: give one of them the address, or write tenants.links",
	"several-users":       "several users fit the extension: give one of them the address, or write tenants.links",
	"others-marker":       "the extension is marked with another user's object id",
	"number-taken":        "something else took the number meanwhile",
	"number-owned-twice":  "the number is two people's",
	"configured-unknown":  "tenants.links names no user, or several",
	"configured-missing":  "tenants.links names an extension that there is not",
	"configured-twice":    "tenants.links gives the extension to several users",
	"configured-not-here": "tenants.links names a phone system that does not serve the tenant",

	"shortened":         "it is longer than the phone system takes, and shortened",
	"too-long":          "it is longer than the phone system takes, and left out",
	"no-digits":         "the phone number has no digit",
	"only-an-extension": "it is an extension alone, which nobody outside can dial",
	"not-a-number":      "the phone number has letters",
	"extension-cut":     "the number is taken without the extension behind it",

	"removed":     "the contact was removed",
	"not-seen":    "the contact is not in its folder any more",
	"feed-over":   "its folder or mailbox is not asked for any more (contacts)",
	"doubled":     "it is there twice",
	"twice":       "another contact of the mailbox says all the same",
	"no-place":    "the phone system has no place for it",
	"shared":      "another contact has the number as well",
	"blank":       "there is neither a name nor a number",
	"no-source":   "it could not be found again",
	"book-full":   "the phonebook is full",
	"older-round": "a newer reading has begun",
}

// bookReasons are the same of plans for phonebooks, where they mean something else there.
var bookReasons = map[string]string{
	"new":     "the phonebook does not have it yet",
	"changed": "Microsoft 365 says otherwise",
	"gone":    "it is not in the mailbox any more",
	"refused": "the phone system refused it",
	"full":    "the phonebook is full",
	"failed":  "the phone system could not do it",
	"foreign": "the entry is not Offhook's any more",
}

// reasonOf words a reason.
func reasonOf(reason string) string {
	if words, known := reasons[reason]; known {
		return words
	}
	return reason
}

// reasonWords is why a change of a plan of some kind is made, or is not, for people.
func reasonWords(kind string, c plan.Change) string {
	words := reasonOf(c.Reason)
	if other, known := bookReasons[c.Reason]; known && kind == string(wire.SyncContacts) {
		words = other
	}
	if c.Detail != "" && c.Op != plan.Conflict && c.Op != plan.Skip {
		words += ": " + c.Detail
	}
	return words
}
