#include "fleet/health.h"

#include <assert.h>
#include <string.h>

#define WINDOW_FIRST 4
#define WORTH 0.5      /* of its fair share: what one more request has to bring */
#define HOLD_ROUNDS 16 /* before the next trial of more: lines change */

static const struct {
    const char *name;
    int read_rank;
    bool answers;
} states[] = {
    [TARGET_NEW] = { "new", -1, false },
    [TARGET_UP] = { "up", 0, true },
    [TARGET_THROTTLED] = { "throttled", 2, true },
    [TARGET_DOWN] = { "down", -1, false },
    [TARGET_PROBING] = { "probing", 4, false },
    [TARGET_CATCHING_UP] = { "catching-up", 1, true },
    [TARGET_QUARANTINED] = { "quarantined", 3, true },
    [TARGET_FULL] = { "full", 1, true },
    [TARGET_DENIED] = { "denied", -1, false },
    [TARGET_EMPTY] = { "empty", -1, false },
    [TARGET_FOREIGN] = { "foreign", -1, false },
};
static_assert(COUNT_OF(states) == TARGET_STATES, "a row for each state");

const char *
target_state_name(enum target_state s)
{
    assert(s < TARGET_STATES);
    return states[s].name;
}

void
health_init(struct health *h, unsigned max, int64_t wait_ms)
{
    assert(max >= 1 && max <= HEALTH_WINDOW_MAX);
    *h = (struct health){ .state = TARGET_NEW,
                          .first_wait_ms = wait_ms > 0 ? wait_ms : HEALTH_WAIT_MS,
                          .window = max < WINDOW_FIRST ? max : WINDOW_FIRST,
                          .window_max = max };
}

static bool
enter(struct health *h, enum target_state s, struct health_now now)
{
    if (h->state == s)
        return false;
    bool as_before = h->state == TARGET_NEW && h->was == s;
    h->state = s;
    h->was_good |= states[s].answers;
    h->since_s = as_before ? h->was_since_s : now.s;
    h->entered_ms = now.ms;
    return true;
}

/* Where one that answers belongs. */
static enum target_state
home(const struct health *h)
{
    return h->wrong >= HEALTH_WRONG_MAX ? TARGET_QUARANTINED
         : h->behind                    ? TARGET_CATCHING_UP
                                        : TARGET_UP;
}

/* Leaves the target alone for a while, each time for longer. */
static bool
back_off(struct health *h, enum target_state s, struct health_now now)
{
    bool again = h->state == TARGET_PROBING || h->state == s;

    h->wait_ms = !again || h->wait_ms == 0           ? h->first_wait_ms
               : h->wait_ms * 2 < HEALTH_WAIT_MAX_MS ? h->wait_ms * 2
                                                     : HEALTH_WAIT_MAX_MS;
    h->next_try_ms = now.ms + h->wait_ms;
    h->unsure |= s != TARGET_FULL; /* what comes back may be another place */
    return enter(h, s, now);
}

static void
halve(struct health *h)
{
    h->window = h->window > 1 ? h->window / 2 : 1;
    h->answers = 0;
    h->round_bytes = 0;
    h->best_rate = 0;
    h->trial = false;
    h->hold = 1;
}

static bool
answered(struct health *h, bool stored, struct health_now now)
{
    h->silences = 0;
    switch (h->state) {
    case TARGET_FULL: /* reads prove nothing about its room, or about our rights */
    case TARGET_DENIED:
        if (!stored)
            return false;
        break;
    case TARGET_THROTTLED:
        if (now.ms < h->entered_ms + HEALTH_THROTTLED_MS)
            return false;
        break;
    case TARGET_NEW: /* who it is has to be found out first */
        return false;
    default:
        break;
    }
    h->wait_ms = 0;
    return enter(h, home(h), now);
}

static bool
silent(struct health *h, struct health_now now)
{
    halve(h);
    h->silences++;
    switch (h->state) {
    case TARGET_DENIED:
        return false;
    case TARGET_DOWN: /* one that was under way when the breaker opened */
        return false;
    case TARGET_NEW:
    case TARGET_PROBING:
        return back_off(h, TARGET_DOWN, now);
    default:
        return h->silences >= HEALTH_OPEN_AFTER && back_off(h, TARGET_DOWN, now);
    }
}

static bool
slowed(struct health *h, struct health_now now)
{
    halve(h);
    h->silences = 0;
    switch (h->state) {
    case TARGET_UP:
    case TARGET_CATCHING_UP:
    case TARGET_PROBING:
    case TARGET_DOWN:
        return enter(h, TARGET_THROTTLED, now);
    case TARGET_THROTTLED:
        h->entered_ms = now.ms; /* and the time begins anew */
        return false;
    default:
        return false;
    }
}

bool
health_event(struct health *h, enum health_event what, struct health_now now)
{
    if (h->state == TARGET_EMPTY || h->state == TARGET_FOREIGN)
        return false;
    switch (what) {
    case HEALTH_OURS:
        h->unsure = false;
        return answered(h, false, now);
    case HEALTH_ANSWER:
    case HEALTH_STORED:
        return answered(h, what == HEALTH_STORED, now);
    case HEALTH_SLOWDOWN:
        return slowed(h, now);
    case HEALTH_SILENCE:
        return silent(h, now);
    case HEALTH_AWAY:
        return back_off(h, TARGET_DOWN, now);
    case HEALTH_REFUSED:
        return back_off(h, TARGET_DENIED, now);
    case HEALTH_NO_ROOM:
        return back_off(h, TARGET_FULL, now);
    case HEALTH_WRONG:
        h->wrong++;
        break;
    case HEALTH_BEHIND:
        h->behind = true;
        break;
    case HEALTH_LEVEL:
        h->behind = false;
        break;
    case HEALTH_CLEARED:
        h->wrong = 0;
        break;
    }
    switch (h->state) { /* what was learnt may change where it belongs */
    case TARGET_UP:
    case TARGET_CATCHING_UP:
    case TARGET_QUARANTINED:
        return enter(h, home(h), now);
    default:
        return false;
    }
}

int
health_meaning(const struct err *e)
{
    switch (e->kind) {
    case ERR_NONE:
    case ERR_NOT_FOUND:
    case ERR_EXISTS:
        return HEALTH_ANSWER;
    case ERR_CORRUPT:
    case ERR_FORGED:
        return HEALTH_WRONG;
    case ERR_THROTTLED:
        return HEALTH_SLOWDOWN;
    case ERR_DENIED:
        return HEALTH_REFUSED;
    case ERR_FULL:
        return HEALTH_NO_ROOM;
    case ERR_NO_TARGET:
        return HEALTH_AWAY;
    case ERR_UNAVAIL:
    case ERR_IO:
        return HEALTH_SILENCE;
    default:
        return -1;
    }
}

void
health_found(struct health *h, enum target_state s, struct health_now now)
{
    assert(s == TARGET_UP || s == TARGET_EMPTY || s == TARGET_FOREIGN);
    h->silences = 0;
    h->wait_ms = 0;
    h->unsure = false;
    enter(h, s == TARGET_UP ? home(h) : s, now);
}

bool
health_may_try(struct health *h, bool put, struct health_now now)
{
    switch (h->state) {
    case TARGET_UP:
    case TARGET_CATCHING_UP:
    case TARGET_THROTTLED:
    case TARGET_QUARANTINED:
        return true;
    case TARGET_FULL:
        if (!put)
            return true;
        if (now.ms < h->next_try_ms)
            return false;
        back_off(h, TARGET_FULL, now); /* for whoever asks next */
        return true;
    case TARGET_DOWN:
    case TARGET_DENIED:
        if (now.ms < h->next_try_ms)
            return false;
        enter(h, TARGET_PROBING, now);
        return true;
    default:
        return false;
    }
}

int64_t
health_wait_ms(const struct health *h, struct health_now now)
{
    switch (h->state) {
    case TARGET_FULL:
    case TARGET_DOWN:
    case TARGET_DENIED:
        return now.ms < h->next_try_ms ? h->next_try_ms - now.ms : 0;
    default:
        return health_answers(h) ? 0 : -1;
    }
}

int
health_read_rank(const struct health *h)
{
    return states[h->state].read_rank;
}

bool
health_answers(const struct health *h)
{
    return states[h->state].answers;
}

void
health_pace(struct health *h, uint64_t bytes, struct health_now now)
{
    if (h->answers == 0 && h->round_bytes == 0)
        h->round_began_ms = now.ms; /* the first answer begins the measure */
    else
        h->round_bytes += bytes;
    if (h->answers++ < h->window || now.ms <= h->round_began_ms)
        return;
    double rate = (double)h->round_bytes / (double)(now.ms - h->round_began_ms);
    bool better = rate > h->best_rate * (1 + WORTH / h->window);
    if (!better && h->trial) {
        h->window--;
        h->hold = HOLD_ROUNDS;
    } else {
        h->best_rate = rate;
        h->hold -= h->hold > 0;
    }
    h->trial = h->hold == 0 && h->window < h->window_max;
    h->window += h->trial;
    h->answers = 0;
    h->round_bytes = 0;
}

/* state u8 | behind u8 | 0 u16 | wrong u32 | since u64 */
void
health_keep(const struct health *h, struct buf *out)
{
    buf_put_u8(out, (uint8_t)h->state);
    buf_put_u8(out, h->behind);
    buf_put_u16(out, 0);
    buf_put_u32(out, h->wrong);
    buf_put_u64(out, (uint64_t)h->since_s);
}

bool
health_recall(struct health *h, struct slice kept)
{
    struct reader r = reader_of(kept);
    uint8_t state = read_u8(&r);
    bool behind = read_u8(&r) != 0;
    (void)read_u16(&r);
    uint32_t wrong = read_u32(&r);
    int64_t since = (int64_t)read_u64(&r);

    if (kept.len != HEALTH_KEPT || r.bad || state >= TARGET_STATES)
        return false;
    h->was = (enum target_state)state;
    h->was_since_s = since;
    h->behind = behind;
    h->wrong = wrong;
    return true;
}
