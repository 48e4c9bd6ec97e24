// Package msgraph answers the verbs of package graph through Microsoft's SDK. It
// is the only package that imports it, and none of the SDK's types leave it.
//
// The SDK builds requests and reads answers; what happens between them is this
// package's own, because the SDK's middleware corrupts retried bodies, leaves the
// bodies of 429s open and sends requests without a token to hosts that it does
// not know. The sender in its place guarantees for every request:
//
//   - it goes to the configured Graph host over https, or not at all;
//   - it carries an access token, or it does not leave;
//   - it takes from the caller's Budget first, and does not leave before a
//     Retry-After that an earlier answer named for the same quota has passed;
//   - redirects are not followed, answers are bounded and always closed;
//   - it is tried again where that is safe: after 429 and 503, and, unless it
//     would create something, after 502, 504 and a broken connection. A wait of
//     more than MaxWait is the caller's: it gets fault.Throttled with the time.
//
// Bound every call by a context: a try ends after 30 s, and there are up to four.
//
// Only the SDK's sub-packages may be imported. Its root package alone would add
// minutes to every build.
package msgraph
