package memory

import (
	"unicode/utf8"

	"offhook.dev/libs/core/directory"
)

// mostText is how many characters this phone system has room for in a text.
const mostText = 255

// limits and bookLimits name it for every text of an extension, and of an entry.
var (
	limits = map[directory.Field]int{directory.FirstName: mostText, directory.LastName: mostText, directory.DisplayName: mostText, directory.Mail: mostText,
		directory.Mobile: mostText, directory.CallerID: mostText, directory.Department: mostText, directory.Language: mostText}
	bookLimits = map[directory.Field]int{directory.FirstName: mostText, directory.LastName: mostText, directory.Company: mostText, directory.Title: mostText,
		directory.Department: mostText, directory.Mail: mostText, directory.PhoneText: mostText}
)

// roomFor refuses what has a text without room.
func roomFor(texts ...string) error {
	for _, text := range texts {
		if utf8.RuneCountInString(text) > mostText {
			return Refusal{Code: "too long"}
		}
	}
	return nil
}

func roomForExtension(e directory.Extension) error {
	return roomFor(e.FirstName, e.LastName, e.DisplayName, e.Mail, e.Mobile, e.CallerID, e.Department, e.Language)
}

func roomForEntry(c directory.Contact) error {
	texts := []string{c.FirstName, c.LastName, c.Company, c.Title, c.Department, c.Mail}
	for _, n := range c.Numbers {
		texts = append(texts, n.Text)
	}
	return roomFor(texts...)
}
