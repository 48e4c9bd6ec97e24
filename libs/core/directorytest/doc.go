// Package directorytest has directories and phone systems in which everything happens
// that happens to such, and says what of them must come of it: a second statement of
// PRODUCT 3. Of the package it judges it uses the words for what is on either side, and
// none of its rules.
//
// A World is both sides with Offhook's records between them. Tests let things happen to
// it, do what was planned, and have Judge compare the world before and after. Judge
// knows no plans: it asks of each person and each extension what must have become of it.
// Every person is compared with every other; worlds are small.
package directorytest
