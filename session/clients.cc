#include "session/clients.h"

#include <utility>

#include "session/events.h"

namespace berth::session {

using protocol::link::CloseReason;
using protocol::mqtt::PacketType;
using protocol::mqtt::Reason;

// An input that has taken effect.
void Clients::answer(Channel& ch, const Deferred& d) {
  if (d.reply_type == PacketType{}) return;
  if (d.reply_type == PacketType::puback || d.reply_type == PacketType::pubrec)
    times_.acknowledged(d.came);
  ch.port->acknowledge(ch, d.reply_type, d.packet_id, d.reason, d.quota, d.text);
}

void Clients::defer_or_reply(Channel& ch, Deferred d) {
  if (gated(ch)) return commits_.defer(ch, std::move(d));
  d.came = times_.now();
  answer(ch, d);
}

// An input of `ch` has taken effect. After the last one that waited its further input is read.
void Clients::end_deferral(Channel& ch) {
  if (--ch.pending != 0) return;
  if (ch.live()) connections_.unstall(ch);
  end_soon(ch);
}

// Protocol errors: DISCONNECT where the version has one, then the end of the connection.
// `text`: what is wrong, for the log and the client; empty: as the reason says.
void Clients::fail(Channel& ch, Reason reason, CloseReason why, std::string_view text) {
  if (ch.state == Channel::State::closing) return;
  events::ended(ch, reason, why, text);
  ch.port->farewell(ch, reason, text);
  ch.state = Channel::State::closing;
  effects_.close(ch.conn, why);
  end_soon(ch);
}

// Each change of what end_connections() waits for calls it.
void Clients::end_soon(Channel& ch) {
  if (!ch.closed) return;
  may_have_work_ = true;
  ending_.push_back(ch.conn);
}

}  // namespace berth::session
