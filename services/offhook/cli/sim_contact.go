package cli

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// simContact is a contact as the simulator takes and gives it.
type simContact struct {
	Number         int      `json:"number,omitempty"`
	Folder         string   `json:"folder,omitempty"`
	GivenName      string   `json:"givenName,omitempty"`
	Surname        string   `json:"surname,omitempty"`
	DisplayName    string   `json:"displayName,omitempty"`
	CompanyName    string   `json:"companyName,omitempty"`
	BusinessPhones []string `json:"businessPhones,omitempty"`
	HomePhones     []string `json:"homePhones,omitempty"`
	MobilePhone    string   `json:"mobilePhone,omitempty"`
	Mails          []string `json:"mails,omitempty"`
}

func (c simContact) row() []string {
	return []string{fmt.Sprint(c.Number), c.Folder, c.DisplayName, or(c.CompanyName), or(strings.Join(append(append([]string{}, c.BusinessPhones...), c.HomePhones...), " ")), or(c.MobilePhone)}
}

func contactsOf(user string) string { return "/users/" + url.PathEscape(user) + "/contacts" }

func (s simulation) contact() *cobra.Command {
	c := &cobra.Command{
		Use: "contact", Short: "What is in a mailbox's contacts", Example: "  offhook sim contact add anna --given-name Ada --surname Lovelace --mobile '+44 7700 900001'\n  offhook sim contact list anna",
		Long: "What is in a mailbox's contacts. A CONTACT is named by its number, as contact list shows\nit, or by its name; a FOLDER by its name, '' being the default one.",
	}
	group(c)
	c.AddCommand(s.contactAdd(), s.contactFill(), s.contactMove(), s.contactRemove(), s.contactList(), s.folderMake(), s.folderRemove())
	return c
}

func (s simulation) contactAdd() *cobra.Command {
	var one simContact
	c := &cobra.Command{
		Use: "add USER", Short: "Put a contact into a mailbox", Args: cobra.ExactArgs(1), Long: "Put a contact into a mailbox. One of whom nothing is said is made up.",
		Example: "  offhook sim contact add anna --given-name Ada --surname Lovelace --business '+44 20 7946 0001'\n  offhook sim contact add anna --company Engines --folder Customers",
	}
	c.Flags().StringVar(&one.GivenName, "given-name", "", "first name")
	c.Flags().StringVar(&one.Surname, "surname", "", "family name")
	c.Flags().StringVar(&one.CompanyName, "company", "", "company")
	c.Flags().StringSliceVar(&one.BusinessPhones, "business", nil, "a business number; several times for several")
	c.Flags().StringSliceVar(&one.HomePhones, "home", nil, "a home number; several times for several")
	c.Flags().StringVar(&one.MobilePhone, "mobile", "", "mobile number")
	c.Flags().StringSliceVar(&one.Mails, "mail", nil, "mail address")
	c.Flags().StringVar(&one.Folder, "folder", "", "`folder` (default the mailbox's own)")
	c.RunE = func(c *cobra.Command, args []string) error {
		raw, err := s.tell(c, http.MethodPost, contactsOf(args[0]), one)
		if err != nil {
			return err
		}
		var made simContact
		return s.show(c.OutOrStdout(), raw, &made, func() [][]string { return [][]string{made.row()} })
	}
	return c
}

func (s simulation) contactFill() *cobra.Command {
	c := &cobra.Command{
		Use: "fill USER", Short: "Make up contacts in a mailbox", Args: cobra.ExactArgs(1), Example: "  offhook sim contact fill anna --count 200",
	}
	count := c.Flags().Int("count", 100, "how many")
	c.RunE = func(c *cobra.Command, args []string) error {
		_, err := s.tell(c, http.MethodPost, "/users/"+url.PathEscape(args[0])+"/fill", map[string]int{"count": *count})
		return err
	}
	return c
}

func (s simulation) contactMove() *cobra.Command {
	return &cobra.Command{
		Use: "move USER CONTACT FOLDER", Short: "Put a contact into another folder", Args: cobra.ExactArgs(3), Example: "  offhook sim contact move anna 1 Customers",
		RunE: func(c *cobra.Command, args []string) error {
			_, err := s.tell(c, http.MethodPost, contactsOf(args[0])+"/"+url.PathEscape(args[1])+"/move", map[string]string{"folder": args[2]})
			return err
		},
	}
}

func (s simulation) contactRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove USER CONTACT", Short: "Delete a contact", Args: cobra.ExactArgs(2), Example: "  offhook sim contact remove anna 1",
		RunE: func(c *cobra.Command, args []string) error {
			_, err := s.tell(c, http.MethodDelete, contactsOf(args[0])+"/"+url.PathEscape(args[1]), nil)
			return err
		},
	}
}

func (s simulation) contactList() *cobra.Command {
	return &cobra.Command{
		Use: "list USER", Short: "List the contacts of a mailbox", Args: cobra.ExactArgs(1), Example: "  offhook sim contact list anna",
		RunE: func(c *cobra.Command, args []string) error {
			raw, err := s.tell(c, http.MethodGet, contactsOf(args[0]), nil)
			if err != nil {
				return err
			}
			var all []simContact
			return s.show(c.OutOrStdout(), raw, &all, func() [][]string {
				rows := [][]string{{"CONTACT", "FOLDER", "NAME", "COMPANY", "PHONES", "MOBILE"}}
				for _, one := range all {
					rows = append(rows, one.row())
				}
				return rows
			})
		},
	}
}

func (s simulation) folderMake() *cobra.Command {
	c := &cobra.Command{
		Use: "make-folder USER FOLDER", Short: "Make a folder for contacts", Args: cobra.ExactArgs(2), Example: "  offhook sim contact make-folder anna Customers",
	}
	parent := c.Flags().String("in", "", "`folder` in which it is made (default the mailbox's own)")
	c.RunE = func(c *cobra.Command, args []string) error {
		_, err := s.tell(c, http.MethodPost, "/users/"+url.PathEscape(args[0])+"/folders", map[string]string{"name": args[1], "parent": *parent})
		return err
	}
	return c
}

func (s simulation) folderRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove-folder USER FOLDER", Short: "Delete a folder with all that is in it", Args: cobra.ExactArgs(2), Example: "  offhook sim contact remove-folder anna Customers",
		RunE: func(c *cobra.Command, args []string) error {
			_, err := s.tell(c, http.MethodDelete, "/users/"+url.PathEscape(args[0])+"/folders/"+url.PathEscape(args[1]), nil)
			return err
		},
	}
}

func (s simulation) photo() *cobra.Command {
	c := &cobra.Command{Use: "photo", Short: "The photo of a user", Example: "  offhook sim photo set anna anna.jpg"}
	group(c)
	c.AddCommand(&cobra.Command{
		Use: "set USER FILE", Short: "Give a user a photo", Args: cobra.ExactArgs(2), Example: "  offhook sim photo set anna anna.jpg",
		RunE: func(c *cobra.Command, args []string) error {
			data, err := os.ReadFile(args[1])
			if err != nil {
				return err
			}
			kind := mime.TypeByExtension(filepath.Ext(args[1]))
			if kind == "" {
				kind = http.DetectContentType(data)
			}
			_, err = s.tell(c, http.MethodPut, "/users/"+url.PathEscape(args[0])+"/photo", map[string]any{"mime": kind, "image": data})
			return err
		},
	}, &cobra.Command{
		Use: "remove USER", Short: "Take a user's photo away", Args: cobra.ExactArgs(1), Example: "  offhook sim photo remove anna",
		RunE: func(c *cobra.Command, args []string) error {
			_, err := s.tell(c, http.MethodDelete, "/users/"+url.PathEscape(args[0])+"/photo", json.RawMessage(nil))
			return err
		},
	})
	return c
}
