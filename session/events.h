// What the log says of clients: who (client id, user, tenant, device), from where, why, and the
// reason code. docs/operations.md, "Logs", has the table. Each call costs a branch while its level
// is off; lines are limited per kind (base/log_event.h). No payload, password or proof is ever a
// field. The shard's thread.
#pragma once

#include <string_view>

#include "protocol/link/types.h"
#include "protocol/mqtt/types.h"
#include "protocol/park/frame.h"
#include "session/command_topic.h"
#include "session/quota.h"
#include "session/session.h"

namespace berth::session::events {

using protocol::link::CloseReason;
using protocol::mqtt::Reason;

// -- log-ins
void connected(const Channel& ch, bool resumed);
// `why`: in words; empty: those of the code.
void refused(const Channel& ch, Reason reason, Quota quota, std::string_view why);

// -- the end of connections, one line each
void said_goodbye(const Channel& ch, Reason reason);
// Ended by the gateway. `why`: in words; empty: the words of the code.
void ended(const Channel& ch, Reason reason, CloseReason cause, std::string_view why);
void edge_closed(const Channel& ch, CloseReason cause);  // by the edge; of a live connection
// `by` null: a connection that this engine does not have.
void taken_over(const Channel& old, const Channel* by);

// -- topics, as the client says them
void publish_denied(const Channel& ch, std::string_view topic, int qos);
void subscribe_denied(const Channel& ch, std::string_view filter, Reason reason);
void subscribed(const Channel& ch, std::string_view filter, Reason reason);
void unsubscribed(const Channel& ch, std::string_view filter);
// A platform's command that its device could not answer.
void command_refused(const Channel& ch, std::string_view topic, const Unanswerable& u);
// What a device says under v1/ that its platform does not get as a report.
void no_report(const Channel& ch, std::string_view topic);
// A report of the Park protocol that is acknowledged and goes nowhere.
void report_refused(const Channel& ch, const protocol::park::Frame& f, const char* why);
void rights_lost(const Session& s, std::string_view filter);

// -- limits
void over_quota(const Channel& ch, Quota quota, std::string_view topic, const char* what_follows);
void over_holdings(const Channel& ch, std::string_view filter, const char* what);
void queue_full(const Session& s);

// -- sessions
void session_expired(const Session& s);
void session_removed(const Session& s, const char* why);
void session_replaced(const Session& s, const Channel& by);

}  // namespace berth::session::events
