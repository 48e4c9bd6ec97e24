package threecx

import (
	"context"
	"net/url"
	"time"

	"offhook.dev/libs/pbx"
)

// licenceFields leaves out the key, which is a secret.
const licenceFields = "ProductCode,LicenseActive,ExpirationDate"

// Licence reads the licence. It is for people who check an installation (`offhook
// doctor`) and is no power of phone systems: what a licence forbids is told with every
// request that it forbids (pbx.ErrLicence).
func (d *Driver) Licence(ctx context.Context) (pbx.Licence, error) {
	var status struct {
		ProductCode    string
		LicenseActive  *bool
		ExpirationDate *time.Time
	}
	if err := d.wire.get(ctx, "threecx: licence", "/LicenseStatus", url.Values{"$select": {licenceFields}}, &status); err != nil {
		return pbx.Licence{}, err
	}
	told := pbx.Licence{Product: printable(status.ProductCode, 60), Lapsed: status.LicenseActive != nil && !*status.LicenseActive}
	if status.ExpirationDate != nil && status.ExpirationDate.Year() > 1 {
		told.Ends = *status.ExpirationDate
	}
	return told, nil
}
