//! The rare crossings. Each must have been seen in some world, or the search has not searched where it hurts.
//! Not here: what must be true in them, as everywhere (`rules`).

use super::hold::Stage;
use super::holder::{Journal, Node, Process};
use super::ledger::{Ledger, Line};
use super::overage::{BEYOND, INCLUDED};
use super::rules::{Rule, granted, of, rule, stale, witness};
use super::words::{Backing, ByBacking, GRANTS, LineId, Message, Numbers, Recall, User, Wish};
use super::worlds::AfterLoss;
use super::{HoldWitness, State};

pub const SOMETIMES: &[Rule] = &[
    rule("the pool is spent to the last credit", |protocol, state| {
        let granted: i16 = (0..GRANTS).map(|grant| granted(protocol, state, grant)).sum();
        told_in_all(state) == granted
    }),
    rule("a return crosses a recall, and its holder is down", |_, state| {
        state.network.iter().any(|message| is_recall(*message))
            && state.network.iter().any(|message| is_unheard_return(&state.ledger, *message))
            && state.nodes.iter().any(|node| node.process == Process::Down)
    }),
    rule("a process is killed with spends that its disk has not seen", |protocol, state| {
        let powered = state.left.power_losses == protocol.world.budget.power_losses;
        let unseen = |node: &Node| node.page_cache.used != node.disk.used;
        powered && state.nodes.iter().any(|node| node.process == Process::Down && unseen(node))
    }),
    rule("a line spends, returns and draws again", |_, state| {
        state.network.iter().any(|message| is_granted_after_return(&state.ledger, *message))
    }),
    rule("after a power loss the rounding is charged as unattributed", |_, state| {
        state.ledger.lines.iter().any(|line| line.unattributed.sum() > 0)
    }),
    rule("a line is rounded twice", |_, state| {
        let lines = &state.ledger.lines;
        let twice = |line: &Line| witness(state, line.id).power_losses > 1 && line.unattributed.sum() > 1;
        lines.iter().any(twice)
    }),
    rule("a holder that was written off wakes and spends", |_, state| state.witness.spent_after_write_off),
    rule("the Close of a written off holder re-labels what it used", |_, state| {
        state.witness.spent_after_write_off
            && state.ledger.book().used.sum() > 0
            && state.ledger.lines.is_empty()
    }),
    rule("a new disk draws while the old holder's credits are still out", |_, state| {
        let lines = &state.ledger.lines;
        let out = |disk| lines.iter().any(|line| line.id.holder.disk == disk && line.outstanding().sum() > 0);
        out(0) && out(1)
    }),
    rule("credits are exposed: out at a lost holder and available again", |protocol, state| {
        let charge = protocol.world.after_loss == AfterLoss::Charge;
        !charge && state.witness.spent_after_write_off && state.ledger.book().exposure.sum() > 0
    }),
    rule("the Close of a written off holder proves a part of what was exposed unspent", |_, state| {
        let exposed = state.ledger.book().exposure.sum();
        state.ledger.lines.is_empty() && exposed > 0 && exposed < state.witness.exposed
    }),
    rule("a late draw meets its forgotten line", |_, state| {
        let late = |line: LineId| is_waiting_draw(state, line) && state.ledger.line(line).is_none();
        let answered = |line: &LineId| is_answered(state, *line);
        state.network.iter().filter_map(|message| stale(*message)).filter(answered).any(late)
    }),
    rule("a line is closed before its draw arrives", |_, state| {
        let early = |line: &LineId| is_closing(state, *line) && !is_answered(state, *line);
        let waits = |line: LineId| is_waiting_draw(state, line);
        state.network.iter().filter_map(|message| stale(*message)).filter(early).any(waits)
    }),
    rule("a first draw is overtaken by a higher n, and the holder tries the next", |_, state| {
        let overtaken = |line: LineId| !is_closing(state, line) && !is_answered(state, line);
        let dropped = |line: LineId| {
            let mut nodes = state.nodes.iter().filter(|node| node.disk.open && node.holder == line.holder);
            nodes.any(|node| node.line().n > line.n)
        };
        let mut stale_lines = state.network.iter().filter_map(|message| stale(*message));
        stale_lines.any(|line| overtaken(line) && dropped(line))
    }),
    rule("two lines of one holder are open in the ledger", |_, state| {
        state.ledger.lines.windows(2).any(|pair| pair[0].id.holder == pair[1].id.holder)
    }),
    rule("two holders of one user hold credits", |_, state| {
        let users = state.ledger.lines.iter().filter(|line| line.outstanding().sum() > 0);
        users
            .clone()
            .any(|one| users.clone().any(|two| one.user == two.user && one.id.holder != two.id.holder))
    }),
    rule("a draw gets nothing rather than less than its floor", |_, state| {
        let refused = |line: &&Line| line.drawn.sum() == 0 && line.frozen_at.is_none();
        let answered = |line: &Line| is_answered(state, line.id);
        let available = state.ledger.funds.available.sum() > 0;
        available && state.ledger.lines.iter().filter(refused).any(answered)
    }),
    rule("the donor spends what an intent is waiting for", |_, state| {
        let waiting = state.ledger.lines.iter().filter(|line| line.pending > 0);
        waiting.into_iter().any(|line| {
            let told = witness(state, line.id).told.of_allocation();
            told + line.returned.of_allocation() + line.pending > line.drawn.of_allocation()
        })
    }),
    rule("an intent is partly paid and partly lapsed", |_, state| {
        state.ledger.intent.paid > 0 && state.ledger.intent.lapsed > 0
    }),
    rule("what an intent waits for lapses, for its cycle has ended", |_, state| {
        let charged: u8 = state.ledger.lines.iter().map(|line| line.charged().of_allocation()).sum();
        state.ledger.cycle > 0
            && state.ledger.intent.lapsed > charged + state.ledger.book().charged().of_allocation()
    }),
    rule("two lines owe to one intent", |_, state| {
        state.ledger.lines.iter().filter(|line| line.pending > 0).count() > 1
    }),
    rule("Bob draws what was moved while Ann's part is still pending", |_, state| {
        let pending = state.ledger.lines.iter().any(|line| line.pending > 0);
        let bob = state.ledger.lines.iter().find(|line| line.user == User::Bob);
        pending && bob.is_some_and(|line| line.drawn.of_allocation() > 0)
    }),
    rule("a credit of the old cycle is carried into the new one", |_, state| state.ledger.carried.sum() > 0),
    rule("a carried credit is drawn in the next cycle", |_, state| {
        let ledger = &state.ledger;
        let lines = || ledger.lines.iter().filter(|line| line.cycle == ledger.cycle);
        (0..GRANTS).any(|grant| {
            let out: i16 = lines().map(|line| of(line.drawn, grant) - of(line.returned, grant)).sum();
            ledger.carried[grant] > 0 && out > i16::from(ledger.opened_with[grant])
        })
    }),
    rule("a credit returns to a grant that is over, and expires", |_, state| {
        let over =
            |line: &Line, backing| state.ledger.over[Backing::grant(backing)] && line.returned[backing] > 0;
        state.ledger.lines.iter().any(|line| Backing::ALL.into_iter().any(|backing| over(line, backing)))
    }),
    rule("overage is drawn while included credits lie idle at another holder", |_, state| {
        let idle = |line: &Line| line.outstanding()[Backing::shared(INCLUDED)] > 0;
        let beyond = |line: &Line| line.outstanding()[Backing::shared(BEYOND)] > 0;
        let lines = &state.ledger.lines;
        let pairs = lines.iter().filter(|line| beyond(line));
        pairs
            .into_iter()
            .any(|line| lines.iter().any(|other| idle(other) && other.id.holder != line.id.holder))
    }),
    rule("included credits that come back pay for overage that is used", |_, state| {
        let overage = &state.ledger.funds.overage;
        let used = told_beyond(state);
        overage.iter().any(|overage| overage.resourced > 0) && used > 0
    }),
    rule("overage of a cycle that has ended is paid for", |_, state| {
        let open =
            |line: &Line| line.cycle < state.ledger.cycle && line.returned[Backing::shared(INCLUDED)] > 0;
        state.ledger.lines.iter().any(open) && state.ledger.funds.overage[0].resourced > 0
    }),
    rule("overage is at its cap, and a draw gets nothing", |protocol, state| {
        let cap = protocol.world.overage_cap();
        let full = cap.is_some_and(|cap| state.ledger.funds.overage[0].billed() == cap);
        let nothing = |line: &Line| line.drawn.sum() == 0 && is_answered(state, line.id);
        full && state.ledger.lines.iter().any(nothing)
    }),
    rule("what is spent in one window becomes known in the next, and fills it", |protocol, state| {
        let turned = state.left.windows < protocol.world.budget.windows;
        turned && state.witness.in_window < state.ledger.window.used
    }),
    rule(
        "a holder whose session has ended does not count, and another spends to the limit",
        |protocol, state| {
            let struck = state.ledger.lines.iter().any(|line| line.struck && line.outstanding().sum() > 0);
            struck && protocol.world.limit == Some(state.witness.in_window)
        },
    ),
    rule(
        "a line of before is spent on a feature that is limited, and others spend to the limit",
        |protocol, state| {
            let spent = |only: bool| {
                let on_line = move |node: &&Node| {
                    let Journal { scope, used, .. } = node.page_cache;
                    used.sum() > 0 && scope.only == only && (only || scope.list < state.ledger.limited.list)
                };
                state.nodes.iter().filter(on_line).map(|node| node.page_cache.scope.used).sum::<u8>()
            };
            let full = protocol.world.feature_limit == Some(state.witness.on_feature);
            full && spent(false) > 0 && spent(true) > 0
        },
    ),
    rule("a holder does not know the list of its line any more, and hears of it", |_, state| {
        let hears =
            |node: &Node| node.memory().is_some_and(|memory| memory.knows == 0 && memory.scope.list > 0);
        state.nodes.iter().any(hears)
    }),
    rule("a hold survives a power loss that rounds what was spent beside it", |_, state| {
        let rounded = |line: LineId| state.ledger.line(line).is_some_and(|line| line.unattributed.sum() > 0);
        holding(state).any(|node| node.boot > 0 && rounded(node.line()))
    }),
    rule("a hold is settled after a power loss", |_, state| {
        let settled = |hold: &HoldWitness| hold.ends == 1 && hold.charged > hold.known.confirmed.sum();
        state.witness.holds.iter().any(|hold| hold.outlived_power && settled(hold))
    }),
    rule("what a settled hold did not need is spent by somebody else", |_, state| {
        state.nodes.iter().zip(&state.witness.holds).any(|(node, hold)| {
            let part = hold.charged > 0 && hold.charged < hold.known.held.sum();
            part && hold.ends == 1 && is_spent(state, node)
        })
    }),
    rule("a recall takes what is idle and leaves what is held", |_, state| {
        holding(state).any(|node| {
            let line = state.ledger.line(node.line());
            let held = node.page_cache.hold.set_aside();
            line.is_some_and(|line| line.returned.sum() > 0 && line.outstanding() == held)
        })
    }),
    rule("a hold is extended: more is held, and a part is confirmed", |protocol, state| {
        let extended = |held: ByBacking, confirmed: ByBacking| {
            held.sum() > protocol.world.hold && confirmed.sum() > 0 && confirmed != held
        };
        holding(state).any(|node| extended(node.page_cache.hold.held, node.page_cache.hold.confirmed))
    }),
    rule(
        "an expired hold is charged what was confirmed, and the rest is spent by somebody else",
        |_, state| {
            state.nodes.iter().zip(&state.witness.holds).any(|(node, hold)| {
                hold.known.stage == Stage::Expired && hold.charged > 0 && is_spent(state, node)
            })
        },
    ),
    rule("a hold that had expired with a part confirmed is settled late", |_, state| {
        let late = |hold: &HoldWitness| hold.late && hold.charged > hold.known.confirmed.sum();
        state.witness.holds.iter().any(|hold| late(hold) && hold.known.confirmed.sum() > 0)
    }),
    rule("a session is renewed though a sealed line still has what is held", |_, state| {
        let out = |at: usize| {
            let line = state.leader.sealed[at].and_then(|line| state.ledger.line(line));
            line.is_some_and(|line| line.outstanding().sum() > 0)
        };
        let renewed = |node: &Node| {
            let to = |message: &Message| matches!(message, Message::Renewed { holder, recall: None, .. } if *holder == node.holder);
            state.network.iter().any(to)
        };
        let nodes = state.nodes.iter().enumerate();
        holding(state).next().is_some() && nodes.into_iter().any(|(at, node)| out(at) && renewed(node))
    }),
    rule("a hold is refreshed beyond when it would have expired", |protocol, state| {
        let lasts = protocol.world.hold_lasts;
        lasts > 0 && holding(state).any(|node| node.page_cache.hold.until > lasts && state.now >= lasts)
    }),
    rule("a hold of the old cycle is settled in the new one, and its rest is carried", |_, state| {
        let part = |hold: &HoldWitness| hold.charged > 0 && hold.charged < hold.known.held.sum();
        state.ledger.carried.sum() > 0
            && state.witness.holds.iter().any(|hold| hold.ends == 1 && hold.outlived_cycle && part(hold))
    }),
    rule("a written off holder settles a hold, and its Close is evidence for it", |_, state| {
        let all = |hold: &HoldWitness| hold.charged > 0 && i16::from(hold.charged) == told_in_all(state);
        let settled = state.witness.holds.iter().any(|hold| hold.ends == 1 && all(hold));
        let known = state.ledger.lines.is_empty() && state.ledger.book().used.sum() > 0;
        settled && known && state.witness.spent_after_write_off && state.ledger.book().exposure.sum() > 0
    }),
    rule("an intent waits for a hold", |_, state| {
        holding(state).any(|node| {
            let line = state.ledger.line(node.line());
            line.is_some_and(|line| {
                line.pending > 0 && line.outstanding() == node.page_cache.hold.set_aside()
            })
        })
    }),
    rule("of a hold that an intent waited for a part lapses, and a part is paid", |_, state| {
        let part = |hold: &HoldWitness| hold.ends == 1 && hold.charged > 0;
        let intent = state.ledger.intent;
        let by_hold = |hold: &HoldWitness| part(hold) && i16::from(hold.charged) == told_in_all(state);
        intent.paid > 0 && intent.lapsed > 0 && state.witness.holds.iter().any(by_hold)
    }),
    rule("a session ends, and its holder keeps credits that it may not spend", |protocol, state| {
        let idle = |node: &Node| node.serving().is_some_and(|memory| memory.next().is_some());
        let ended = |node: &Node| node.session > 0 && !node.has_session(protocol, state.now);
        state.nodes.iter().any(|node| ended(node) && idle(node))
    }),
    rule("a session that had ended is renewed, and its holder still has its credits", |protocol, state| {
        let ended_before = |sent: u8| {
            let mut renewals = state.network.iter().filter_map(|message| renewed_from(*message));
            renewals.any(|from| from + protocol.world.session <= sent)
        };
        let renewed = |node: &Node| {
            let idle = node.serving().is_some_and(|memory| memory.next().is_some());
            idle && node.has_session(protocol, state.now)
                && ended_before(node.session - protocol.world.session)
        };
        let has_session = |node: &&Node| node.session > 0;
        state.nodes.iter().filter(has_session).any(renewed)
    }),
    rule("a rebooted holder has credits and no session", |protocol, state| {
        let credits = |node: &Node| node.serving().is_some_and(|memory| memory.drawn != memory.spoken_for());
        let sessions = protocol.world.session > 0;
        sessions && state.nodes.iter().any(|node| node.boot > 0 && node.session == 0 && credits(node))
    }),
    rule("what was taken away is spent before the `until` that was named", |protocol, state| {
        let taken = state.ledger.lines.iter().filter(|line| protocol.world.session > 0 && line.pending > 0);
        taken.into_iter().any(|line| {
            let told = witness(state, line.id).told.of_allocation();
            told + line.returned.of_allocation() + line.pending > line.drawn.of_allocation()
        })
    }),
    rule("the answer that renews a session brings a recall", |_, state| {
        let brings = |message: &Message| matches!(message, Message::Renewed { recall: Some(_), .. });
        state.network.iter().any(brings)
    }),
    rule("a leader that has heard nobody since its election names an `until`", |protocol, state| {
        let elected = state.left.elections < protocol.world.budget.elections;
        let heard = state.network.iter().any(|message| matches!(message, Message::Renew { .. }));
        let named = state.witness.until.iter().any(|until| *until > protocol.world.session);
        elected && !heard && named
    }),
    rule("a hold outlives its session, and is settled", |_, state| {
        state.witness.holds.iter().any(|hold| hold.outlived_session && hold.ends == 1 && hold.charged > 0)
    }),
];

fn holding(state: &State) -> impl Iterator<Item = &Node> {
    state.nodes.iter().filter(|node| node.memory().is_some_and(|memory| memory.hold.stage == Stage::Open))
}

fn is_spent(state: &State, node: &Node) -> bool {
    let drawn = state.ledger.line(node.line()).map(|line| line.drawn.sum());
    drawn.is_some_and(|drawn| drawn == witness(state, node.line()).told.sum())
}

fn told_in_all(state: &State) -> i16 {
    state.witness.lines.iter().map(|line| i16::from(line.told.sum())).sum()
}

fn told_beyond(state: &State) -> u8 {
    state.witness.lines.iter().map(|line| line.told[Backing::shared(BEYOND)]).sum()
}

fn renewed_from(message: Message) -> Option<u8> {
    match message {
        Message::Renewed { sent, .. } => Some(sent),
        Message::Numbers(_)
        | Message::Drawn { .. }
        | Message::StaleLine { .. }
        | Message::OtherList { .. }
        | Message::Renew { .. } => None,
    }
}

fn is_recall(message: Message) -> bool {
    matches!(message, Message::Drawn { recall: Recall::Once | Recall::ForGood, .. })
}

fn is_unheard_return(ledger: &Ledger, message: Message) -> bool {
    let Message::Numbers(Numbers { line, returned, .. }) = message else { return false };
    ledger.line(line).is_some_and(|line| !returned.within(line.returned))
}

/// A draw by a holder that had spent some and returned some, and it has got all it asked for.
fn is_granted_after_return(ledger: &Ledger, message: Message) -> bool {
    let Message::Numbers(Numbers { line, returned, used, wish: Wish::Draw { target, .. }, .. }) = message
    else {
        return false;
    };
    let granted = ledger.line(line).is_some_and(|line| line.drawn.sum() == target);
    granted && returned.sum() > 0 && used.sum() > 0
}

fn is_waiting_draw(state: &State, id: LineId) -> bool {
    let draw = |message: &Message| matches!(message, Message::Numbers(Numbers { line, wish: Wish::Draw { .. }, .. }) if *line == id);
    state.network.iter().any(draw)
}

fn is_closing(state: &State, id: LineId) -> bool {
    let close = |message: &Message| matches!(message, Message::Numbers(Numbers { line, wish: Wish::Close, .. }) if *line == id);
    state.network.iter().any(close)
}

fn is_answered(state: &State, id: LineId) -> bool {
    state.network.iter().any(|message| matches!(message, Message::Drawn { line, .. } if *line == id))
}
