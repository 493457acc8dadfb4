#include "front/park_front.h"

#include <algorithm>
#include <array>
#include <optional>

#include "protocol/link/types.h"
#include "protocol/messages/envelope.h"
#include "protocol/mqtt/reason_text.h"
#include "protocol/park/control.h"
#include "protocol/park/faults.h"
#include "session/command_topic.h"
#include "session/events.h"
#include "session/late_command.h"
#include "session/principal_key.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
namespace park = protocol::park;
using mqtt::PacketType;
using mqtt::Reason;
using park::FrameType;
using protocol::link::CloseReason;
using protocol::link::CookieSlot;

namespace {

constexpr std::size_t kHandshakeMax = 8 * 1024;  // a frame before WELCOME
constexpr std::uint16_t kCommandsInFlight = 16;  // of a device that does not say
constexpr std::array<const char*, 4> kCommandFilters{"cmd/+/req/+", "sub/+/cmd/+/req/+", "desired",
                                                     "sub/+/desired"};

bool is_acknowledged(const park::Frame& report) {
  return report.type != FrameType::telemetry || (report.flags & park::kAckWanted) != 0;
}

std::string hello_fault(Reason e, const park::HelloView& v) {
  if (e == Reason::malformed_packet) return "HELLO is not Protobuf";
  if (e == Reason::client_identifier_not_valid) return park::kBadClientId;
  return "version " + std::to_string(v.version) + " of the Park protocol, version " +
         std::to_string(park::kVersion) + " is spoken here";
}

// When the connection of an engine that ends may come back: not all in the same moment.
std::uint32_t come_back_after_ms(base::ConnId conn) {
  constexpr std::uint64_t kSpread_ms = 5000;
  return 1 + static_cast<std::uint32_t>((conn.packed() * 0x9e3779b97f4a7c15ULL >> 32) % kSpread_ms);
}

}  // namespace

void ParkFront::begin(Channel& ch) {
  ch.park = std::make_unique<ParkState>();
  ch.port = this;
}

Cut ParkFront::cut(Channel& ch, base::ByteView bytes, park::Frame& out) {
  using park::FrameStatus;
  const std::size_t limit = ch.live() ? options_.packet_max : kHandshakeMax;
  const FrameStatus status = park::next_frame(bytes, limit, out);
  if (status == FrameStatus::complete) return Cut::complete;
  if (status == FrameStatus::need_more) return Cut::need_more;
  if (status == FrameStatus::too_large) {
    clients_.fail(ch, Reason::packet_too_large, CloseReason::frame_too_large,
                  park::text_of_size(out.type, out.size, limit));
  } else {
    clients_.fail(ch, Reason::malformed_packet, CloseReason::protocol_error,
                  status == FrameStatus::bad_crc ? park::text_of_bad_crc(out.type, out.seq)
                                                 : park::text_of_no_frame(bytes));
  }
  return Cut::failed;
}

// False: the frame was not taken; it is offered again when the channel goes on.
bool ParkFront::on_frame(Channel& ch, const park::Frame& f, base::Instant now) {
  if (!ch.live()) {
    on_handshake(ch, f, now);
    return true;
  }
  switch (f.type) {
    case FrameType::event:
    case FrameType::telemetry:
    case FrameType::state:
    case FrameType::result:
      return in_sequence(ch, f) ? take_report(ch, f, now) : true;
    case FrameType::received:
      return on_received(ch, f.seq, now);
    case FrameType::bye:
      return on_bye(ch);
    case FrameType::ping:  // the edge has answered
      if (gated(ch)) commits_.defer(ch, {});
      return true;
    default:
      clients_.fail(ch, Reason::protocol_error, CloseReason::protocol_error,
                    park::text_of_unexpected(f.type, false));
      return true;
  }
}

void ParkFront::flush_acks() {
  for (const base::ConnId conn : acks_due_) {
    Channel* ch = connections_.find(conn);
    if (ch == nullptr || !ch->park) continue;
    const WorksFor scope = works_for(conn);
    send_acks(*ch);
  }
  acks_due_.clear();
}

void ParkFront::restore(Channel& ch, std::uint8_t, std::uint8_t flags, std::string_view client_id) {
  begin(ch);
  ch.park->flags = flags;
  ch.park->root = root_of(ch, client_id);
}

void ParkFront::acknowledge(Channel& ch, PacketType type, std::uint32_t id, Reason reason,
                            Quota quota, const char* text) {
  if (type == PacketType::puback && ch.unacked_in != 0) --ch.unacked_in;
  acknowledge_report(ch, id, reason, quota, text);
}

// A registered device's topics are its own by its Scope. Of others the client id keeps them apart.
std::string ParkFront::root_of(const Channel& ch, std::string_view client_id) {
  return ch.scope ? std::string("v1/") : "v1/_/" + std::string(client_id) + "/";
}

// The edge's GREETING stands before all that the device says: it survives the engine that hears
// it, and so the device's proof stays good.
void ParkFront::on_handshake(Channel& ch, const park::Frame& f, base::Instant now) {
  ParkState& p = *ch.park;
  if (p.nonce.empty() && f.type == FrameType::greeting) {
    park::Greeting g;
    if (!park::decode_greeting(f.payload, g))
      return clients_.fail(ch, Reason::malformed_packet, CloseReason::protocol_error);
    p.nonce = std::move(g.nonce);
    p.flags = f.flags & park::kCrc;
    p.in_clear = g.crc_wanted;
    return;
  }
  if (p.nonce.empty() || f.type != FrameType::hello)
    return clients_.fail(ch, Reason::protocol_error, CloseReason::protocol_error,
                         park::text_of_unexpected(f.type, true));
  on_hello(ch, f, now);
}

void ParkFront::on_hello(Channel& ch, const park::Frame& f, base::Instant) {
  ParkState& p = *ch.park;
  park::HelloView v;
  p.flags |= f.flags & park::kCrc;
  const Reason e = park::decode_hello(f.payload, v);
  const Newcomer from = ch.newcomer ? std::move(*ch.newcomer) : Newcomer{};
  ch.newcomer.reset();
  ch.connect = std::make_unique<PendingConnect>();  // before a refusal too, for the log
  PendingConnect* const c = ch.connect.get();
  c->client_id = v.client_id;
  c->user_name = from.certificate.empty() ? v.auth_id : from.certificate;
  if (e != Reason::success) {
    ++probe_.connect_protocol_error;
    return refuse_hello(ch, e, Quota::none, hello_fault(e, v));
  }
  if (p.in_clear && !v.password.empty()) {  // whoever listens has it now: it must not work
    ++probe_.connect_unauthorized;
    return refuse_hello(ch, Reason::bad_authentication_method, Quota::none,
                        "a password without TLS");
  }
  c->clean_start = v.fresh;
  const std::uint32_t max = options_.session_expiry_max_s;
  c->expiry_s = std::min(v.session_expiry_s.value_or(max), max);
  p.token_asked = std::move(v.resume_token);
  p.firmware = std::move(v.firmware);
  const std::uint16_t window = v.max_inflight == 0
                                   ? kCommandsInFlight
                                   : static_cast<std::uint16_t>(std::min(v.max_inflight, 65535u));
  ch.receive_maximum = std::min(window, options_.inflight_max);
  ch.packet_max = v.max_frame;
  const std::uint32_t most = options_.park_heartbeat_s;
  ch.keep_alive_s =
      static_cast<std::uint16_t>(v.heartbeat_s == 0 ? most : std::min(v.heartbeat_s, most));
  AuthRequest request{.has_user_name = !v.auth_id.empty(),
                      .loopback = ch.loopback,
                      .address = from.address,
                      .certificate = from.certificate,
                      .authorities = from.authorities,
                      .user_name = c->user_name,
                      .password = std::move(v.password),
                      .client_id = c->client_id,
                      .nonce = p.nonce,
                      .proof = std::move(v.proof)};
  ch.state = Channel::State::authenticating;
  effects_.authenticate(ch.conn, std::move(request));
  if (ch.state == Channel::State::authenticating) stall(ch);
}

// Who has not shown who it is hears no more than the code says.
void ParkFront::refuse_hello(Channel& ch, Reason reason, Quota quota, std::string_view why,
                             ComeBack when) {
  events::refused(ch, reason, quota, why);
  const bool unknown =
      reason == Reason::bad_user_name_or_password || reason == Reason::not_authorized;
  say_end(ch, reason, quota, unknown ? std::string_view() : why, when);
  ch.state = Channel::State::closing;
  effects_.close(ch.conn, CloseReason::refused);
}

// What its device is told to do comes from these; what else the session once subscribed to (as an
// MQTT device) is not of this protocol.
void ParkFront::subscribe_commands(Channel& ch, Session& s, bool present, base::Instant now) {
  constexpr SubOptions kAtLeastOnce{1};
  ch.park->root = root_of(ch, client_id_of(s.client_id));
  std::vector<std::string> wanted;
  for (const char* f : kCommandFilters) {
    std::string raw;
    if (gate_.enter_filter(ch, ch.park->root + f, raw) == Reason::success)
      wanted.push_back(std::move(raw));
  }
  std::vector<std::string> others;
  for (const Subscription& sub : s.subscriptions) {
    std::string raw = records_.raw_filter(sub);
    if (std::find(wanted.begin(), wanted.end(), raw) == wanted.end())
      others.push_back(std::move(raw));
  }
  for (const std::string& raw : others) subscriptions_.remove(s, raw);
  auto items = std::make_unique<std::deque<RetainedItem>>();
  for (const std::string& raw : wanted) {
    const bool fresh = subscriptions_.add(s, raw, kAtLeastOnce, 0);
    if (present || !raw.ends_with("desired")) continue;
    items->push_back({raw, kAtLeastOnce, 0, {}});
    if (fresh && s.persistent()) retained_delivery_.queue_desired(s, items->back(), now);
  }
  if (items->empty()) return;
  ch.retained = std::move(items);
  cookies_.changed(ch, CookieSlot::retained_cursor);
}

// The same session can't have it twice: ids of sessions that have gone come again only with
// another hash, or for the same client, and then the session is not found present.
std::string ParkFront::resume_token(const Session& s) {
  const std::string_view key = s.client_id;
  const std::string_view token_name = is_registered(principal_of(key)) ? key : client_id_of(key);
  std::string token;
  base::put_key64(token, protocol::link::hash_of(token_name));
  base::put_key64(token, s.id.value);
  return token;
}

void ParkFront::send_welcome(Channel& ch, bool present, base::Instant now) {
  const Session& s = *ch.session;
  const std::string token = resume_token(s);
  const std::string bytes =
      park::encode_welcome({.resume_token = token,
                            .resumed = present && ch.park->token_asked == token,
                            .session_epoch = s.epoch,
                            .session_expiry_s = s.asked_expiry_s(),
                            .heartbeat_s = ch.keep_alive_s,
                            .max_inflight = options_.receive_maximum,
                            .max_frame = options_.packet_max,
                            .server_time_ms = clocks_.wall_at(now).ms},
                           ch.park->flags);
  translator_.firmware(ch, std::exchange(ch.park->firmware, {}));
  ch.park->token_asked = {};
  ch.park->nonce = {};
  ch.park->counts_reports = true;
  effects_.send(ch.conn, bytes, {});
}

// From 1 on each connection, one up for each that is to be acknowledged: a gap is a report that got
// lost before it was sent. The engine before us may have seen some.
bool ParkFront::in_sequence(Channel& ch, const park::Frame& f) {
  ParkState& p = *ch.park;
  if (f.type == FrameType::telemetry && !is_acknowledged(f) && f.seq != 0) {
    clients_.fail(ch, Reason::protocol_error, CloseReason::protocol_error,
                  park::text_of_sequence(f.type, f.seq, 0) + " without ACK_WANTED");
    return false;
  }
  if (!is_acknowledged(f) || !p.counts_reports) return true;
  const std::uint32_t due = p.reported == UINT32_MAX ? 1 : p.reported + 1;
  if (f.seq == due) return true;
  clients_.fail(ch, Reason::protocol_error, CloseReason::protocol_error,
                park::text_of_sequence(f.type, f.seq, due));
  return false;
}

// False: it was not taken; it is offered again when the channel goes on.
bool ParkFront::take_report(Channel& ch, const park::Frame& f, base::Instant now) {
  if (!on_report(ch, f, now)) return false;
  if (is_acknowledged(f)) {
    ch.park->reported = f.seq;
    ch.park->counts_reports = true;
  }
  return true;
}

bool ParkFront::on_report(Channel& ch, const park::Frame& f, base::Instant now) {
  const bool wanted = f.type != FrameType::telemetry || (f.flags & park::kAckWanted) != 0;
  if (wanted && f.seq == 0) {
    clients_.fail(ch, Reason::protocol_error, CloseReason::protocol_error,
                  park::text_of_sequence(f.type, 0, 1));
    return true;
  }
  if (wanted && gated(ch) && ch.unacked_in >= options_.receive_maximum) {
    stall(ch);
    return false;
  }
  protocol::messages::EnvelopeView e;
  if (const char* fault = report_fault(ch, f, e)) {
    ++probe_.drop_malformed_report;
    events::report_refused(ch, f, fault);
    refuse_report(ch, f, Reason::payload_format_invalid, Quota::none, fault);
    return true;
  }
  complete_report(ch, f, e, now);
  translator_.state(ch, e.body, report_);
  const std::string* json = translator_.to_json(ch, report_);
  Publication p{.message = {.topic = report_topic_,
                            .payload = std::string_view(json != nullptr ? *json : report_),
                            .forwarded = translator_.envelope_properties(json != nullptr),
                            .qos = static_cast<std::uint8_t>(wanted ? 1 : 0),
                            .retain = f.type == FrameType::state && (f.flags & park::kRetain) != 0},
                .id = f.seq};
  const Judgement j = intake_.judge(ch, p.message, false, now);
  if (j.what == Judgement::wait) return false;
  if (j.what == Judgement::over_quota) {
    events::over_quota(ch, j.quota, report_topic_, "the report is refused");
    refuse_report(ch, f, Reason::quota_exceeded, j.quota);
  } else if (j.what == Judgement::denied) {
    refuse_report(ch, f, Reason::not_authorized, Quota::none);
  } else {
    p.message.topic = j.inside;
    intake_.accept(ch, p, *j.match, now);
    translator_.taken(ch);
  }
  return true;
}

// Null: nothing is wrong, and its topic is in report_topic_:
// root ["sub/" child "/"] (event "/" type | telemetry "/" type | state | cmd "/" id "/res")
const char* ParkFront::report_fault(const Channel& ch, const park::Frame& f,
                                    protocol::messages::EnvelopeView& e) {
  static constexpr const char* kNoResult = "a body `result` belongs into a RESULT";
  if (!protocol::messages::read_envelope(f.payload, e)) return "not a Protobuf Envelope";
  if (e.type.empty()) return "the Envelope has no body, or one that this release does not know";
  if (!e.child.empty() && !park::is_name(e.child)) return park::kBadChild;
  report_topic_ = ch.park->root;
  if (!e.child.empty()) report_topic_.append("sub/").append(e.child).append("/");
  switch (f.type) {
    case FrameType::event:
      report_topic_.append("event/").append(e.type);
      return e.command_id.empty() ? nullptr : kNoResult;
    case FrameType::telemetry:
      report_topic_.append("telemetry/").append(e.type);
      return e.command_id.empty() ? nullptr : kNoResult;
    case FrameType::state:
      report_topic_.append("state");
      return e.command_id.empty() ? nullptr : kNoResult;
    default:
      report_topic_.append("cmd/").append(e.command_id).append("/res");
      if (e.command_id.empty()) return "a RESULT needs the body `result` with a command_id";
      return park::is_name(e.command_id) ? nullptr : park::kBadCommandId;
  }
}

void ParkFront::complete_report(const Channel& ch, const park::Frame& f,
                                const protocol::messages::EnvelopeView& e, base::Instant now) {
  ParkState& p = *ch.park;
  const Session& s = *ch.session;
  if (p.origin.empty()) {
    const Scope* scope = ch.scope.get();
    p.origin = protocol::messages::encode_origin(
        scope != nullptr ? scope->who().tenant : "", scope != nullptr ? scope->site() : "",
        scope != nullptr ? scope->who().name : client_id_of(s.client_id), s.epoch);
  }
  std::string made;
  if (e.event_id.empty() && f.seq != 0)
    made = std::to_string(s.epoch) + "-" + std::to_string(f.seq);
  report_.assign(f.payload);
  completer_.complete(report_, e, p.origin, {.at_ms = clocks_.wall_at(now).ms, .made_id = made});
  translator_.reported(ch, e, made, report_, now);
}

// For ever: it is acknowledged, so that the device does not say it again and again.
void ParkFront::refuse_report(Channel& ch, const park::Frame& f, Reason reason, Quota quota,
                              const char* text) {
  Account* const a = ch.session->account;
  if (quota == Quota::none && a != nullptr) a->count(&Usage::dropped, 1);
  const bool wanted = f.type != FrameType::telemetry || (f.flags & park::kAckWanted) != 0;
  if (wanted) ++ch.unacked_in;
  const PacketType type = wanted ? PacketType::puback : PacketType{};
  if (gated(ch)) {
    commits_.defer(
        ch,
        {.reply_type = type, .reason = reason, .packet_id = f.seq, .quota = quota, .text = text});
  } else if (wanted) {
    acknowledge(ch, type, f.seq, reason, quota, text);
  }
}

// One ACK for all of a turn.
void ParkFront::acknowledge_report(Channel& ch, std::uint32_t seq, Reason reason, Quota quota,
                                   const char* text) {
  ParkState& p = *ch.park;
  p.acked = seq;
  if (static_cast<std::uint8_t>(reason) >= 0x80)
    park::put_refused(p.refused, seq, reason,
                      quota != Quota::none ? text_of(quota)
                      : text != nullptr    ? std::string(text)
                                           : text_of(reason));
  if (std::exchange(p.ack_due, true)) return;
  acks_due_.push_back(ch.conn);
}

void ParkFront::send_acks(Channel& ch) {
  ParkState& p = *ch.park;
  if (!std::exchange(p.ack_due, false)) return;
  head_.clear();
  park::put_frame(head_, FrameType::ack, p.flags, p.acked, p.refused);
  effects_.send(ch.conn, head_, {});
  p.refused.clear();
}

bool ParkFront::on_received(Channel& ch, std::uint32_t id, base::Instant now) {
  if (id == 0 || id > 65535) {
    clients_.fail(ch, Reason::protocol_error, CloseReason::protocol_error,
                  "RECEIVED with seq " + std::to_string(id) + ": no COMMAND or DESIRED has it");
    return true;
  }
  Session& s = *ch.session;
  const std::uint64_t seq = seq_of(static_cast<std::uint16_t>(id), s.flow().first_seq);
  const OutEntry* e = seq <= s.flow().sent_seq ? entry_at(s, seq) : nullptr;
  const std::size_t before = commits_.writes();
  if (e != nullptr && e->state == EntryState::sent) {
    ++probe_.acked;
    queues_.finish(s, seq, Finished::acknowledged);
  }
  if (!s.persistent()) cookies_.changed(ch, CookieSlot::volatile_state);
  if (commits_.writes() != before) {
    commits_.defer(ch, {});
  } else {
    clients_.defer_or_reply(ch, {});
  }
  if (s.outbox) queues_.pump(s, now);
  return true;
}

bool ParkFront::on_bye(Channel& ch) {
  if (gated(ch)) {
    stall(ch);
    return false;
  }
  ch.clean_disconnect = true;
  events::said_goodbye(ch, Reason::success);
  cookies_.changed(ch, CookieSlot::identity);
  flush_acks();
  cookies_.flush();  // the step that closes must carry it
  effects_.acknowledge(ch.conn, ch.in_off);
  ch.state = Channel::State::closing;
  effects_.close(ch.conn, CloseReason::client);
  return true;
}

// False: it is not for such a device, too large for it, or too late.
bool ParkFront::send_command(Channel& ch, const MessageView& m, std::uint8_t qos, bool dup,
                             std::uint16_t packet_id, const protocol::link::Deadline* until,
                             base::Instant now) {
  const ParkState& p = *ch.park;
  std::optional<protocol::link::Deadline> deadline;
  std::string_view topic = ch.scope ? ch.scope->leave(m.topic, left_) : m.topic;
  CommandTopic to;
  if (!topic.starts_with(p.root)) return false;
  topic.remove_prefix(p.root.size());
  if (!parse_command_topic(topic, to)) return false;
  park::CommandOut command{.id = to.id, .name = to.name, .child = to.child};
  if (m.expires_at != base::kNever) {
    const std::int64_t left_ms = m.expires_at.ms - messages_at(now).ms;
    if (left_ms <= 0) {
      ++probe_.drop_expired;
      return false;
    }
    command.ttl_ms = static_cast<std::uint32_t>(std::min<std::int64_t>(left_ms, UINT32_MAX));
    command.deadline_ms = now.ms + left_ms + wall_of_device(ch, now);
    if (!to.desired) deadline = edge_deadline(ch, m, qos, left_ms);
  }
  command_.clear();
  if (to.desired) {
    park::put_desired_head(command_, command.child, m.payload.size());
  } else {
    park::put_command_head(command_, command, m.payload.size());
  }
  const std::size_t size = command_.size() + m.payload.size();
  if (ch.packet_max != 0 && park::kHeaderBytes + size + park::kCrcBytes > ch.packet_max) {
    ++probe_.drop_too_large;
    return false;
  }
  budget_.take(TurnBudget::kDelivery);
  budget_.take_bytes(size);
  head_.clear();
  const auto again = static_cast<std::uint8_t>(dup ? park::kAgain : 0);
  park::put_header(head_, to.desired ? FrameType::desired : FrameType::command, p.flags | again,
                   qos == 0 ? 0u : packet_id, size);
  head_.append(command_);
  const bool checked = (p.flags & park::kCrc) != 0;
  command_.clear();
  if (checked) park::put_crc(command_, park::crc_of(park::crc_of(0, head_), m.payload));
  if (until != nullptr) deadline = *until;
  if (deadline) {  // it goes whole or not at all
    head_.append(m.payload).append(command_);
    const bool sent = deadline->watch ? words_.send(ch.conn, head_, {}, *deadline)
                                      : effects_.send_until(ch.conn, head_, {}, *deadline);
    if (!sent) return false;
  } else {
    effects_.send(ch.conn, head_, m.payload);
    if (checked) effects_.send(ch.conn, command_, {});
  }
  probe_.tx_qos0 += qos == 0;
  probe_.tx_qos1 += qos != 0;
  return true;
}

void ParkFront::say_end(Channel& ch, Reason reason, Quota quota, std::string_view text,
                        ComeBack when) {
  const std::uint8_t flags = ch.park->flags;
  const bool over = quota != Quota::none;
  const std::string bytes =
      reason == Reason::server_shutting_down
          ? park::encode_goaway(reason, come_back_after_ms(ch.conn), {}, flags)
          : park::encode_error(reason,
                               over           ? text_of(quota)
                               : text.empty() ? std::string_view(text_of(reason))
                                              : text,
                               over ? name_of(quota) : when.limit, when.after_ms, flags);
  effects_.send(ch.conn, bytes, {});
}

// The gateway's clock as a device knows it. After it was set forward a device may still go by what
// it was before, until it has asked again, within its keep-alive: what is right by the earlier
// clock is right by both, or refused.
std::int64_t ParkFront::wall_of_device(const Channel& ch, base::Instant now) const {
  const std::int64_t asks_within_ms = std::int64_t{1500} * ch.keep_alive_s;
  const bool asked = ch.keep_alive_s != 0 && now.ms - clocks_.forward_at.ms > asks_within_ms;
  return asked ? clocks_.wall : std::min(clocks_.wall, clocks_.wall_before);
}

}  // namespace berth::session
