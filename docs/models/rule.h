/* The rule, stated apart from the protocol: an ideal bridge that looks at both sides
 * at moments of its own and always knows who did what. It has no messages, wants,
 * revisions or ledger. Because its moments are not given, it is a set of states: all
 * in which it may be after what the users did so far. The protocol is right if, at
 * every quiet moment, what the two sides show is what one of these states shows, in
 * which nothing is left to look at; the set then shrinks to those.
 *
 * A person's choice on the phone (c) over what Teams says (op):
 *   c = op             no claim: it would show anyway
 *   c = 2 (silent)     stays until the person chooses again
 *   c rings, op = 2    overrides op until op changes
 *   c rings, op rings  stays, but yields to an op of 2, and returns after it
 * What shows on the phone by a claim and is not 0 is pinned in Teams; a pin hides what
 * Teams would say. Whoever sets Teams over a pin ends the claim that had caused it; who
 * looks finds that out unless Teams then shows the same as the pin did. */
enum { NOCLAIM, STAYS, OVER0, OVER1, YIELD0, YIELD1, CLAIMS };
enum { PIN1 = 1, PIN2, GONE1, GONE2, PINS }; /* our pin, or one that was set over, not found out yet */
enum { NOPIN = 3, IDEALS = 3 * CLAIMS * 2 * PINS, BYTES = (IDEALS + 7) / 8 };

typedef struct { int op, claim, pend, pin; } ideal; /* pend: a choice was not looked at yet */

static ideal ideal_of(int i)
{
	ideal s = { i / (CLAIMS * 2 * PINS), i / (2 * PINS) % CLAIMS, i / PINS % 2, i % PINS };
	return s;
}
static int index_of(ideal s) { return ((s.op * CLAIMS + s.claim) * 2 + s.pend) * PINS + s.pin; }
static int has(unsigned char *set, int i) { return set[i / 8] >> i % 8 & 1; }
static int put(unsigned char *set, ideal s)
{
	int i = index_of(s), fresh = !has(set, i);
	set[i / 8] |= 1 << i % 8;
	return fresh;
}

static int claim_of(int op, int c)
{
	if (c == op) return NOCLAIM;
	if (c == 2) return STAYS;
	return (op == 2 ? OVER0 : YIELD0) + c;
}
static int by_claim(ideal s) /* what shows by the claim, or -1 */
{
	switch (s.claim) {
	case STAYS: return 2;
	case OVER0: case OVER1: return s.claim - OVER0;
	case YIELD0: case YIELD1: return s.op == 2 ? -1 : s.claim - YIELD0;
	}
	return -1;
}
static int shows(ideal s) { return by_claim(s) < 0 ? s.op : by_claim(s); }
static int shown_by(int pin) { return pin > PIN2 ? pin - PIN2 : pin; }
static int pins(ideal s) { return by_claim(s) > 0 ? by_claim(s) : 0; }

/* Looking, at any moments: at the phone, at Teams unless pinned, and pinning. */
static void look(unsigned char *set, int teams, int choice)
{
	int i, more = 1;
	while (more)
		for (more = 0, i = 0; i < IDEALS; i++) {
			ideal s, t;
			if (!has(set, i)) continue;
			s = t = ideal_of(i);
			if (s.pend) {
				t.claim = claim_of(s.op, choice), t.pend = 0;
				if (s.pin > PIN2) t.pin = 0;
				more |= put(set, t);
			}
			t = s;
			if (!s.pin && s.op != teams) {
				t.op = teams;
				if (s.claim == OVER0 || s.claim == OVER1) t.claim = NOCLAIM;
				more |= put(set, t);
			}
			t = s;
			if (s.pin > PIN2 && teams != shown_by(s.pin)) {
				t.claim = NOCLAIM, t.pin = 0;
				more |= put(set, t);
			}
			t = s;
			if (pins(s) != shown_by(s.pin)) {
				t.pin = pins(s);
				more |= put(set, t);
			}
		}
}

/* A person chose on the phone. */
static void chosen(unsigned char *set, int teams, int choice)
{
	unsigned char next[BYTES] = { 0 };
	int i;
	for (i = 0; i < IDEALS; i++)
		if (has(set, i)) {
			ideal s = ideal_of(i);
			s.pend = 1;
			put(next, s);
		}
	memcpy(set, next, BYTES);
	look(set, teams, choice);
}

/* A person set Teams over a pin. */
static void unpinned(unsigned char *set, int teams, int choice)
{
	unsigned char next[BYTES] = { 0 };
	int i;
	for (i = 0; i < IDEALS; i++)
		if (has(set, i)) {
			ideal s = ideal_of(i);
			if (s.pin == PIN1 || s.pin == PIN2) s.pin += PIN2;
			put(next, s);
		}
	memcpy(set, next, BYTES);
	look(set, teams, choice);
}

/* A choice that nobody had read was written over: it may never have been. */
static void missed(unsigned char *set, int teams, int choice)
{
	int i;
	for (i = 0; i < IDEALS; i++)
		if (has(set, i)) {
			ideal s = ideal_of(i);
			s.pend = 0;
			put(set, s);
		}
	look(set, teams, choice);
}

/* All is quiet: keeps the states that have seen everything and show what is shown. */
static int quiet(unsigned char *set, int teams, int phone, int pin)
{
	unsigned char next[BYTES] = { 0 };
	int i, n = 0;
	for (i = 0; i < IDEALS; i++)
		if (has(set, i)) {
			ideal s = ideal_of(i);
			if (s.pend || (!s.pin && s.op != teams) || shown_by(s.pin) != pins(s)) continue;
			if (s.pin > PIN2 ? teams != shown_by(s.pin) || pin != NOPIN : s.pin != (pin == NOPIN ? 0 : pin)) continue;
			if (shows(s) != phone) continue;
			n += put(next, s);
		}
	memcpy(set, next, BYTES);
	return n;
}
