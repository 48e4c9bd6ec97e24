/* Offhook's two-way protocol for one person: Teams and one phone. See README.md for
 * what is and is not modelled, run.sh for the switches and what each run must show.
 *
 * Statuses after mapping: 0 available, 1 away (both ring), 2 dnd (silent). */
#define NONE 3

#ifndef MP
#define MP 1 /* choices on the phone */
#endif
#ifndef MT
#define MT 1 /* changes in Teams */
#endif
#ifndef DUPS
#define DUPS 0 /* events delivered again */
#endif
#ifndef OWNERS
#define OWNERS 1 /* of the phone system, one after the other, the first lingering on */
#endif
#ifndef MAPPERS
#define MAPPERS 1
#endif

c_decl { \#include "rule.h" }
c_state "unsigned char spec[23]" "Global"

/* An event only marks something to be looked at. Where events are lost, it may not. */
#ifdef LOSSES
#define EVENT(flag) if :: flag = 1 :: skip fi
#else
#define EVENT(flag) flag = 1
#endif
/* Readings of the phone make an event for whoever owns it. */
#define PHONE_EVENT if :: !ended[0] -> EVENT(p_dirty[0]) :: else fi; if :: owner == 1 -> EVENT(p_dirty[1]) :: else fi

/* ---- the two sides ---- */
byte phone;		/* what the phone shows */
byte teams;		/* what Teams shows without a pin of ours */
byte pin = NONE;	/* the preferred presence that we set */
#define TEAMS_SHOWS (pin != NONE -> pin : teams)

/* ---- what the checks know and the protocol does not ---- */
byte choice = NONE;	/* the newest choice on the phone */
bit chosen_shows;	/* the phone shows it */
bit chosen_read;	/* and the ledger has it */
byte kept = NONE;	/* the newest choice that the ledger has had */
byte changes, phone_writes, teams_writes;

/* ---- graph-poller ---- */
bit t_dirty;
bit t_reading; byte t_value; bit t_before;	/* a request under way; it began before our last write ended */
byte tf_value; bit tf_before;			/* m365.fact.presence */

/* ---- pbx-writer: the bucket `ledger`, and each owner's copy ---- */
typedef entry {
	byte intent = NONE; byte intent_rev;
	byte effect; byte effect_rev;
	byte person = NONE; bit person_shows;
	byte observation
}
entry kv;
byte kv_fence;
bit kv_known[OWNERS];	/* the owner's copy is of the newest revision */
entry led[OWNERS];
byte owner;		/* holder of the lease: its number is the fence */
bit ended[OWNERS];	/* the process is gone */
bit ready[OWNERS];	/* has read the phone since it became owner */
bit locked[OWNERS];	/* a write is under way */
bit p_dirty[OWNERS]; bit p_reading[OWNERS]; byte p_value[OWNERS]; bit p_before[OWNERS];
byte p_shown[OWNERS];	/* newest reading */
bit w_dirty[OWNERS]; byte w_newest[OWNERS];
byte pf_person = NONE; byte pf_observation;	/* pbx.fact.status: the last person's choice */

/* ---- presence-mapper: the bucket `memory` ---- */
bit mt_dirty, mp_dirty;
bit mt_unseen;			/* the newest reading of Teams is not in memory */
byte m_rev = 1;
byte m_op;			/* opinion of Teams */
byte m_claim = NONE; bit m_over;	/* a person's choice; it overrides a dnd */
byte m_decided;			/* newest choice taken into account */
byte m_own = NONE; byte m_own_id; bit m_mine;	/* our pin, of which choice, and whether the claim is still the one that caused it */
bit m_mask1, m_mask2;		/* pins of the last 90 s */
bit m_wait1, m_wait2;		/* of those, which are not known to be cleared: their 90 s have not begun */
bit m_set;			/* our pin is known to be set */
bit mg_dirty;			/* outcome.presence */
#define HOLDS (m_claim != NONE && !(m_claim != 2 && !m_over && m_op == 2))
#define WANTED(v) ((HOLDS && v == m_claim) || (!(HOLDS) && v == m_op))
bit news;			/* memory has changed */
byte publishing;		/* mappers that have wants to publish */
bit pub_dirty;			/* memory and the wants have not been compared yet */

/* ---- the stream of wants ---- */
byte wp_value; byte wp_rev; byte wp_decided;
byte wt_pin = NONE; byte wt_id; byte wt_rev;

/* ---- graph-writer: the bucket `pins` ---- */
bit g_dirty; byte g_seen; bit g_busy;
byte pins_value = NONE; byte pins_id;

/* ================= words =================== */

#ifdef PIN_WHILE_YIELDING
#define PINNED (m_claim != NONE)
#else
#define PINNED HOLDS
#endif

#ifdef NO_MASK
#define MASKED(v) 0
#else
#define MASKED(v) (v == m_own || (v == 1 && m_mask1) || (v == 2 && m_mask2))
#endif

/* A pin of the same value for another choice is another pin. */
#ifdef NO_PIN_ID
#define SAME_PIN(a, b) true
#else
#define SAME_PIN(a, b) (a == b)
#endif

/* The pin that is wanted is known to have been set before the reading began. */
#ifdef SEEN_WITHOUT_SET
#define OVER_PIN(before) (m_own != NONE && m_seen)
#else
#define OVER_PIN(before) (m_own != NONE && m_set && !before)
#endif
#ifdef SEEN_WITHOUT_SET
bit m_seen;
#endif

#ifdef COPY
#define WANT(v) (v == m_op)
#else
#define WANT(v) WANTED(v)
#endif
#define WANTS_DIFFER (!WANT(wp_value) || wp_decided != m_decided || wt_pin != m_own || (m_own != NONE && !SAME_PIN(wt_id, m_own_id)))

/* No reading of Teams that was begun before our last write is on its way. */
#define NO_ECHO (!tf_before && !(t_reading && t_before))

/* What graph-writer told last is of the newest want. */
#ifdef OLD_WORD
#define WORD true
#else
#define WORD (!g_busy && g_seen == wt_rev)
#endif
#define OWN_IS_SET (m_own != NONE && pins_value == m_own && SAME_PIN(pins_id, m_own_id))
#define UNSURE (m_wait1 || m_wait2 || (m_own != NONE && !m_set))
#define WORD_NEWS (WORD && ((m_wait1 && pins_value != 1) || (m_wait2 && pins_value != 2) || (OWN_IS_SET && !m_set)))
#define RUN_OUT(v) (NO_ECHO && pin != v && wt_pin != v && !g_dirty && !g_busy && g_seen == wt_rev && publishing == 0 && !(WANTS_DIFFER))

#define KNOWN(o) (led[o].person_shows -> led[o].person : led[o].effect)

#ifdef NO_DECIDED_ON
#define COVERS(o) 1
#else
#define COVERS(o) (!led[o].person_shows || wp_decided >= led[o].observation)
#endif

#define NEWEST_REV(o) (led[o].intent_rev > led[o].effect_rev -> led[o].intent_rev : led[o].effect_rev)
#ifdef LATE_WRITE
#define MAY_WRITE(o) 1
#else
#define MAY_WRITE(o) (owner == o)	/* the request's deadline is before the lease ends */
#endif
#define ALIVE(o) (!ended[o] && owner >= o)

#define QUIET_WRITER(o) (ended[o] || (!p_dirty[o] && !p_reading[o] && !w_dirty[o] && !locked[o] \
	&& (o != owner || (ready[o] && p_shown[o] == phone && w_newest[o] == wp_rev && (phone == wp_value || !COVERS(o)) && pf_observation == led[o].observation))))
#if OWNERS == 2
#define QUIET_WRITERS (QUIET_WRITER(0) && QUIET_WRITER(1) && (owner == 0 || ended[0]))
#else
#define QUIET_WRITERS QUIET_WRITER(0)
#endif
#define QUIET (QUIET_WRITERS && !t_dirty && !t_reading && tf_value == TEAMS_SHOWS && !tf_before \
	&& !mt_dirty && !mp_dirty && !mg_dirty && !(UNSURE) && !pub_dirty && publishing == 0 && !(WANTS_DIFFER) && m_decided >= pf_observation && !mt_unseen && !m_mask1 && !m_mask2 \
	&& !g_dirty && !g_busy && g_seen == wt_rev)

/* ================= users ================= */


hidden byte sides_agree, rule_allows, nothing_left, person_known, writes_bounded;
inline check() {
	/* Both sides show the same, unless a person is to be reached on the phone. */
	sides_agree = (TEAMS_SHOWS == phone || (phone == 0 && kept == 0));
	assert(sides_agree);
	c_code { rule_allows = quiet(now.spec, now.teams, now.phone, now.pin) > 0; };
	assert(rule_allows)
}



proctype phone_user() {
	byte n, v;
	do
	:: atomic { n < MP ->
		if :: QUIET -> check() :: else fi;
		if :: phone != 0 -> v = 0 :: phone != 1 -> v = 1 :: phone != 2 -> v = 2 fi;
		n++; changes++;
		phone = v; choice = v; chosen_shows = 1; chosen_read = 0; v = 0;
		c_code { chosen(now.spec, now.teams, now.choice); };
		PHONE_EVENT }
	:: n == MP -> break
	od
}

proctype teams_user() {
	byte n, v;
	do
	:: atomic { n < MT ->	/* by itself: a meeting begins or ends; a pin hides it */
		if :: QUIET -> check() :: else fi;
		if :: teams != 0 -> v = 0 :: teams != 1 -> v = 1 :: teams != 2 -> v = 2 fi;
		n++; changes++;
		teams = v; v = 0;
		c_code { look(now.spec, now.teams, now.choice); };
		if :: pin == NONE -> EVENT(t_dirty) :: else fi }
	:: atomic { n < MT && pin != NONE ->	/* a person sets it, over the pin */
		if :: QUIET -> check() :: else fi;
		if :: pin != 0 -> v = 0 :: pin != 1 -> v = 1 :: pin != 2 -> v = 2 fi;
		n++; changes++;
		teams = v; pin = NONE; v = 0;
		c_code { unpinned(now.spec, now.teams, now.choice); };
		EVENT(t_dirty) }
	:: n == MT -> break
	od
}

/* ================= graph-poller ================= */

proctype poller() {
	do
	:: atomic { t_dirty && !t_reading -> t_dirty = 0; t_reading = 1; t_value = TEAMS_SHOWS; t_before = 0 }
	:: atomic { t_reading ->
		t_reading = 0;
		if
		:: t_value != tf_value || t_before != tf_before -> tf_value = t_value; tf_before = t_before; mt_unseen = 1; EVENT(mt_dirty)
		:: else
		fi;
		if :: t_before -> t_dirty = 1 :: else fi;	/* the next poll comes */
		t_value = 0; t_before = 0 }
#ifdef SWEEP
	:: atomic { !t_dirty && !t_reading && (tf_value != TEAMS_SHOWS || tf_before) -> t_dirty = 1 }
#endif
	od
}

/* ================= presence-mapper ================= */

/* What Teams or the absence of a claim makes show; ends the claim that overrode it. */
inline follow(v) {
	if
	:: m_op != v ->
		m_op = v; news = 1;
		if :: m_claim != NONE && m_over -> m_claim = NONE; m_over = 0 :: else fi
	:: else
	fi
}

inline choose(c) {
	m_over = 0; m_mine = 0; news = 1;
	if
	:: c == m_op -> m_claim = NONE
	:: else -> m_claim = c; m_over = (c != 2 && m_op == 2)
	fi
}


/* The pin that follows from the claim; a pin that ends is masked for a while. */
inline repin(disown) {
	if
	:: PINNED && m_claim != 0 && !(m_own == m_claim && m_mine) ->
		mask(m_own); m_own = m_claim; m_own_id = m_decided; m_mine = 1; m_set = 0; news = 1;
		if :: m_own == 1 -> m_mask1 = 0; m_wait1 = 0 :: m_own == 2 -> m_mask2 = 0; m_wait2 = 0 fi	/* it masks by itself */
	:: !(PINNED && m_claim != 0) && m_own != NONE ->
		mask(m_own); m_own = NONE; m_own_id = m_decided; m_mine = 0; m_set = 0; news = 1
	:: else
	fi
}
inline mask(v) {
#ifndef NO_MASK
	if :: v == 1 -> m_mask1 = 1; m_wait1 = 1 :: v == 2 -> m_mask2 = 1; m_wait2 = 1 :: else fi
#endif
	skip
}


inline fold_teams(v, before) {
	if
	:: MASKED(v) ->
#ifdef SEEN_WITHOUT_SET
		if :: v == m_own -> m_seen = 1 :: else fi
#endif
		skip
	:: !MASKED(v) && OVER_PIN(before) ->
#ifndef NO_MASK
		if :: m_mine -> m_claim = NONE; m_over = 0 :: else fi;
		m_own = NONE; m_own_id = m_decided; m_mine = 0; m_set = 0; news = 1;
#endif
		follow(v); repin(0)
	:: else -> follow(v); repin(0)
	fi
}

inline fold_phone() {
	if
	:: pf_observation > m_decided -> m_decided = pf_observation; choose(pf_person); repin(0)
#ifdef SEEN_WITHOUT_SET
		m_seen = 0
#endif
	:: else
	fi
}

/* What was to be cleared and shows no more was cleared; what shows is set. */
inline fold_word() {
	if
	:: WORD ->
		if :: pins_value != 1 -> m_wait1 = 0 :: else fi;
		if :: pins_value != 2 -> m_wait2 = 0 :: else fi;
		if :: OWN_IS_SET && !m_set -> m_set = 1; mt_dirty = 1 :: else fi	/* memory judges the newest reading again */
	:: else
	fi
}

#ifdef COPY
/* Events copied: what comes from one side goes to the other. */
inline fold_teams_copy() { m_op = tf_value; news = 1 }
inline fold_phone_copy() { if :: pf_person != NONE -> m_own = pf_person; m_own_id = pf_observation; m_decided = pf_observation; news = 1 :: else fi }
#endif


#ifdef NO_REVISION
#define NEWER(a, b) true
#else
#define NEWER(a, b) (a > b)
#endif

/* Publishes wants over older revisions only. */
inline publish(value, rev, decided, tpin, tid) {
	if
	:: NEWER(rev, wp_rev) && (wp_value != value || wp_decided != decided) ->
		wp_value = value; wp_decided = decided; wp_rev = rev;
		if :: !ended[0] -> EVENT(w_dirty[0]) :: else fi;
		if :: owner == 1 -> EVENT(w_dirty[OWNERS-1]) :: else fi
	:: else
	fi;
	if
	:: NEWER(rev, wt_rev) && (wt_pin != tpin || (tpin != NONE && !SAME_PIN(wt_id, tid))) ->
		wt_pin = tpin; wt_id = tid; wt_rev = rev; EVENT(g_dirty)
	:: else
	fi
}

/* What follows from memory. With one mapper, publishing at once is the same as
 * publishing later: nobody looks at the wants but the writers, who may come late. */
inline wanted() {
	m_rev = m_rev + news; news = 0;
	if
	:: WANTS_DIFFER ->
		if :: WANT(m_op) -> value = m_op :: else -> value = m_claim fi;
#if MAPPERS == 1
		if
		:: publish(value, m_rev, m_decided, m_own, m_own_id)
#ifdef LOSSES
		:: skip	/* killed between memory and wants */
#endif
		fi;
		value = 0
#else
		rev = m_rev; decided = m_decided; tpin = m_own; tid = m_own_id; publishing++
#endif
	:: else
	fi
}

/* Memory is set by compare-and-set, and the loser decides again: one step. */
proctype mapper() {
	byte value;
#if MAPPERS > 1
	byte rev, decided, tpin, tid;
#define IDLE (rev == 0)
#else
#define IDLE true
#endif
	do
	:: atomic { IDLE && mt_dirty -> mt_dirty = 0; mt_unseen = 0;
#ifdef COPY
		fold_teams_copy();
#else
		fold_teams(tf_value, tf_before);
#endif
		wanted() }
	:: atomic { IDLE && mp_dirty -> mp_dirty = 0;
#ifdef COPY
		fold_phone_copy();
#else
		fold_phone();
#endif
		wanted() }
	:: atomic { IDLE && mg_dirty -> mg_dirty = 0; fold_word() }
	:: atomic { IDLE && pub_dirty -> pub_dirty = 0; wanted() }
#if MAPPERS > 1
	:: atomic { rev != 0 ->
		publishing--;
		publish(value, rev, decided, tpin, tid);
		if :: rev != m_rev -> pub_dirty = 1 :: else fi;	/* look whether memory is still the same */
		value = 0; rev = 0; decided = 0; tpin = 0; tid = 0 }
#endif
	od
}

/* The timer at the end of the mask: later than any reading of the pin is on its way. */
proctype timers() {
	do
#ifdef MASK_FROM_WANT
	:: atomic { m_mask1 || m_mask2 -> m_mask1 = 0; m_mask2 = 0; mt_dirty = 1 }
#else
	:: atomic { m_mask1 && !m_wait1 && NO_ECHO -> m_mask1 = 0; mt_dirty = 1 }
	:: atomic { m_mask2 && !m_wait2 && NO_ECHO -> m_mask2 = 0; mt_dirty = 1 }
#endif
#ifdef LOSSES	/* or it runs out by itself */
	:: atomic { m_wait1 && RUN_OUT(1) -> m_wait1 = 0 }
	:: atomic { m_wait2 && RUN_OUT(2) -> m_wait2 = 0 }
#endif
#ifdef SWEEP
	:: atomic { !mp_dirty && pf_observation > m_decided -> mp_dirty = 1 }
	:: atomic { !mt_dirty && mt_unseen -> mt_dirty = 1 }
	:: atomic { !mg_dirty && WORD_NEWS -> mg_dirty = 1 }
	:: atomic { !pub_dirty && publishing == 0 && WANTS_DIFFER -> pub_dirty = 1 }
#endif
	od
}

/* ================= pbx-writer ================= */

/* Compare-and-set of the ledger under the fence. saved: it is stored. A loser takes
 * over what is there, unless a newer owner wrote it: then it has to go. */
bit saved[OWNERS];
inline copy(to, from) {
	to.intent = from.intent; to.intent_rev = from.intent_rev; to.effect = from.effect; to.effect_rev = from.effect_rev;
	to.person = from.person; to.person_shows = from.person_shows; to.observation = from.observation
}
inline save(o) {
	if
#ifdef NO_CAS
	:: true ->
#else
	:: kv_known[o] ->
#endif
		copy(kv, led[o]); kv_fence = o; kv_known[0] = 0; kv_known[OWNERS-1] = 0; kv_known[o] = 1; saved[o] = 1
#ifndef NO_CAS
	:: else ->
		saved[o] = 0;
		if :: kv_fence > o -> quit(o) :: else -> copy(led[o], kv); kv_known[o] = 1; p_dirty[o] = 1 fi
#endif
	fi
}
inline quit(o) {
	ended[o] = 1; p_dirty[o] = 0; p_reading[o] = 0; w_dirty[o] = 0; locked[o] = 0; ready[o] = 0;
	p_value[o] = 0; p_before[o] = 0; p_shown[o] = 0; w_newest[o] = 0; kv_known[o] = 0; saved[o] = 0;
	copy(led[o], blank)
}
entry blank;


/* Folds a reading into the ledger and says whose status it shows. */
inline see(o, v) {
	saved[o] = 1;
	if
#ifdef NO_LEDGER	/* what differs from the last reading is a person's */
	:: v != p_shown[o] -> is_person(o, v); save(o)
	:: else
#else
#ifdef NO_ORIGIN	/* everything is ours */
	:: true -> led[o].effect = v
#else
	:: led[o].intent != NONE && v == led[o].intent && v != KNOWN(o) -> happened(o); save(o)
	:: !(led[o].intent != NONE && v == led[o].intent) && v != KNOWN(o) -> is_person(o, v); save(o)
	:: v == KNOWN(o) && led[o].intent != NONE -> led[o].intent = NONE; led[o].intent_rev = 0; save(o)
	:: v == KNOWN(o) && led[o].intent == NONE -> skip
#endif
#endif
	fi;
	if :: saved[o] && !ended[o] -> p_shown[o] = v; tell(o) :: else fi
}
inline is_person(o, v) {
	led[o].intent = NONE; led[o].intent_rev = 0;
	led[o].person = v; led[o].person_shows = 1; led[o].observation++
}
inline happened(o) {
	led[o].effect = led[o].intent; led[o].effect_rev = led[o].intent_rev;
	led[o].intent = NONE; led[o].intent_rev = 0; led[o].person_shows = 0
}
inline tell(o) {
	if :: chosen_shows && led[o].person_shows && led[o].person == phone -> chosen_read = 1; kept = phone :: else fi;
#ifdef COPY
	if :: pf_person != p_shown[o] -> pf_person = p_shown[o]; pf_observation++; led[o].observation = pf_observation; EVENT(mp_dirty) :: else fi
#else
	if :: pf_observation != led[o].observation -> pf_observation = led[o].observation; pf_person = led[o].person; EVENT(mp_dirty) :: else fi
#endif
}


proctype writer(byte o) {
	byte value, decided, rev;	/* of the write under way */
	do
	:: atomic { ended[o] -> break }
	/* reading: asked for, and folded in unless a write is under way */
	:: atomic { ALIVE(o) && p_dirty[o] && !p_reading[o] -> p_dirty[o] = 0; p_reading[o] = 1; p_value[o] = phone; p_before[o] = 0 }
	:: atomic { ALIVE(o) && p_reading[o] && !locked[o] ->
		p_reading[o] = 0;
		if
#ifndef NO_BLIND
		:: p_before[o] -> p_dirty[o] = 1	/* too old to say anything; the next poll comes */
#endif
		:: else ->
			see(o, p_value[o]);
			if :: saved[o] && !ended[o] && !ready[o] -> ready[o] = 1; w_dirty[o] = 1 :: else fi
		fi;
		p_value[o] = 0; p_before[o] = 0 }
	/* a want: read, decide, and record what is about to be written */
	:: atomic { ALIVE(o) && ready[o] && w_dirty[o] && !locked[o] ->
		w_dirty[o] = 0;
#ifndef OLDER_READING
		p_before[o] = p_reading[o];	/* a reading under way is older than this one */
#endif
		see(o, phone);
		if
		:: ended[o]
		:: !ended[o] && !saved[o] -> w_dirty[o] = 1
		:: !ended[o] && saved[o] && (wp_rev < NEWEST_REV(o) || wp_rev < w_newest[o])	/* stale */
		:: !ended[o] && saved[o] && wp_rev >= NEWEST_REV(o) && wp_rev >= w_newest[o] ->
			w_newest[o] = wp_rev;
			if
			:: p_shown[o] == wp_value	/* already */
			:: p_shown[o] != wp_value && !COVERS(o)	/* refused: a person's */
			:: p_shown[o] != wp_value && COVERS(o) ->
#ifndef NO_INTENT
				led[o].intent = wp_value; led[o].intent_rev = wp_rev;
				save(o);
#endif
				if
				:: saved[o] -> locked[o] = 1; value = wp_value; decided = wp_decided; rev = wp_rev
				:: !saved[o] && !ended[o] -> w_dirty[o] = 1
				:: ended[o]
				fi
			fi
		fi }
	/* the write itself */
	:: atomic { ALIVE(o) && locked[o] && rev != 0 && MAY_WRITE(o) ->
		/* no choice that was read is written over by a want that did not know of it */
		person_known = (!(chosen_shows && chosen_read) || decided >= kv.observation);
		assert(person_known);
		if
		:: chosen_shows && !chosen_read -> c_code { missed(now.spec, now.teams, now.choice); }
		:: else
		fi;
		phone = value; chosen_shows = 0; chosen_read = 0;
		p_before[o] = p_reading[o];
		phone_writes++;
#ifdef NO_INTENT
		led[o].intent = value; led[o].intent_rev = rev;
#endif
		rev = 0;
		PHONE_EVENT }
	/* and its record */
	:: atomic { ALIVE(o) && locked[o] && rev == 0 ->
#if defined(NO_LEDGER)
		p_shown[o] = p_shown[o]; led[o].intent = NONE; led[o].intent_rev = 0;
#else
		happened(o);
		save(o);
		if :: saved[o] && !ended[o] -> p_shown[o] = value; tell(o) :: else fi;
#endif
		locked[o] = 0; value = 0; decided = 0;
		if :: !ended[o] && !saved[o] -> w_dirty[o] = 1 :: else fi }
#if OWNERS == 2
	/* who has lost the lease goes, sooner or later, wherever it is */
	:: atomic { !ended[o] && owner > o -> quit(o); value = 0; decided = 0; rev = 0 }
#endif
#ifdef SWEEP
	:: atomic { ALIVE(o) && !ended[o] && owner == o && !p_dirty[o] && !p_reading[o] && (p_shown[o] != phone || pf_observation != led[o].observation) -> p_dirty[o] = 1 }
	:: atomic { ALIVE(o) && owner == o && ready[o] && !w_dirty[o] && !locked[o] && (w_newest[o] != wp_rev || (p_shown[o] != wp_value && COVERS(o))) -> w_dirty[o] = 1 }
#endif
	od
}

#if OWNERS == 2
/* The lease ends and is taken: the new owner reads the ledger, then the phone. */
proctype lease() {
	atomic { owner = 1; copy(led[1], kv); kv_known[1] = 1; p_dirty[1] = 1 }
}
#endif

/* ================= graph-writer ================= */

proctype graph_writer() {
	byte value, id;
	do
	:: atomic { g_dirty && !g_busy ->
		g_dirty = 0; g_seen = wt_rev;
		if
		:: wt_pin == pins_value && (wt_pin == NONE || SAME_PIN(wt_id, pins_id)) -> EVENT(mg_dirty)	/* already */
		:: else -> g_busy = 1; value = wt_pin; id = wt_id
		fi }
	:: atomic { g_busy ->
		g_busy = 0; pins_value = value; pins_id = id;
		pin = value; teams_writes++;
		tf_before = 1; t_before = t_reading;
		EVENT(mg_dirty);
		EVENT(t_dirty); value = 0; id = 0 }
#ifdef SWEEP
	:: atomic { !g_dirty && !g_busy && g_seen != wt_rev -> g_dirty = 1 }
#endif
	od
}

#if DUPS > 0
proctype again() {
	byte n;
	do
	:: atomic { n < DUPS -> n++;
		if :: t_dirty = 1 :: mt_dirty = 1 :: mp_dirty = 1 :: w_dirty[0] = ALIVE(0) :: g_dirty = 1 :: mg_dirty = 1 :: p_dirty[0] = ALIVE(0) fi }
	:: n == DUPS -> break
	od
}
#endif

/* ================= checks ================= */

proctype monitor() {
end:	do
	:: atomic { phone_writes > changes || teams_writes > changes -> writes_bounded = 0; assert(writes_bounded) }
	:: atomic { timeout -> check(); nothing_left = (QUIET); assert(nothing_left); break }
	od
}

init {
	atomic {
		if :: phone = 0 :: phone = 1 :: phone = 2 fi;
		teams = phone; tf_value = phone; m_op = phone; wp_value = phone; wp_rev = 1; wt_rev = 1; g_seen = 1;
		kv.effect = phone; kv.effect_rev = 1; copy(led[0], kv); kv_known[0] = 1; ready[0] = 1; p_shown[0] = phone; w_newest[0] = 1;
		c_code { ideal s = { now.phone, NOCLAIM, 0, 0 }; memset(now.spec, 0, BYTES); put(now.spec, s); };
		run phone_user(); run teams_user(); run poller(); run mapper(); run timers(); run writer(0); run graph_writer(); run monitor();
#if DUPS > 0
		run again();
#endif
#if MAPPERS == 2
		run mapper();
#endif
#if OWNERS == 2
		run writer(1); run lease();
#endif
	}
}
