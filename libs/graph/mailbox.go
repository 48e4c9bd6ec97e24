package graph

import (
	"context"
	"iter"

	"offhook.dev/libs/core/identity"
)

// PurposeAnswer is what one mailbox is for, or why that is not known: the errors are
// those of CalendarAnswer.
type PurposeAnswer struct {
	User identity.User
	// Purpose is "user", "linked", "shared", "room", "equipment" or "others": an open
	// set, in lower case.
	// https://learn.microsoft.com/graph/api/resources/mailboxsettings#userpurpose-values
	Purpose string
	Err     error
}

// MailboxReader reads what mailboxes are, many in one request.
type MailboxReader interface {
	// MailboxPurposes answers for each user as CalendarReader.CalendarViews does. It
	// needs the permission MailboxSettings.Read.
	MailboxPurposes(ctx context.Context, users []identity.User) iter.Seq[PurposeAnswer]
}
