#include "protocol/park/device.h"

#include <algorithm>

#include "protocol/messages/parse.h"
#include "protocol/park/control.h"
#include "protocol/park/park.pb.h"

namespace berth::protocol::park {

namespace v1 = berth::park::v1;

namespace {
constexpr std::size_t kFrameMax = kPayloadMax + kHeaderBytes + kCrcBytes;

bool parse(google::protobuf::MessageLite& m, const Frame& f) {
  return messages::parse(m, f.payload);
}
}  // namespace

void Device::opened() {
  closed();
  out_.clear();
}

void Device::closed() {
  ready_ = greeted_ = false;
  in_.clear();
  if (sent_ != 0) said_before_ = kept_[sent_ - 1].number;
  sent_ = 0;
  acked_ = 0;
}

bool Device::receive(base::ByteView bytes) {
  in_.append(base::as_text(bytes));
  std::size_t used = 0;
  bool good = true;
  while (good) {
    Frame f;
    const FrameStatus status =
        next_frame(base::as_bytes(std::string_view(in_).substr(used)), kFrameMax, f);
    if (status == FrameStatus::need_more) break;
    good = status == FrameStatus::complete && on_frame(f);
    if (good) used += f.size;
  }
  in_.erase(0, used);
  return good;
}

void Device::put(FrameType type, std::uint32_t seq, std::string_view payload, std::uint8_t flags) {
  put_frame(out_, type, flags | crc_, seq, payload);
}

bool Device::on_frame(const Frame& f) {
  if (!greeted_) return f.type == FrameType::greeting && on_greeting(f);
  switch (f.type) {
    case FrameType::welcome:
      return on_welcome(f);
    case FrameType::ack:
      return on_ack(f);
    case FrameType::command:
    case FrameType::desired:
      return on_command(f);
    case FrameType::goaway:
    case FrameType::error:
      return on_end(f);
    case FrameType::pong: {
      v1::Pong m;
      if (parse(m, f)) h_.on_pong(static_cast<std::int64_t>(m.server_time_ms()));
      return true;
    }
    default:
      return true;  // of a newer gateway
  }
}

bool Device::on_greeting(const Frame& f) {
  Greeting g;
  if (!decode_greeting(f.payload, g)) return false;
  greeted_ = true;
  crc_ = g.crc_wanted ? kCrc : 0;
  v1::Hello m;
  m.set_client_id(options_.client_id);
  m.set_version(kVersion);
  m.set_auth_id(options_.auth_id);
  if (!options_.key.empty())
    m.set_proof(proof_of(options_.key, g.nonce, options_.auth_id, options_.client_id));
  m.set_password(options_.password);
  m.set_fresh(options_.fresh && token_.empty());
  if (options_.session_expiry_s) m.set_session_expiry_s(*options_.session_expiry_s);
  m.set_resume_token(token_);
  m.set_heartbeat_s(options_.heartbeat_s);
  m.set_max_inflight(options_.max_inflight);
  m.set_firmware(options_.firmware);
  put(FrameType::hello, 0, m.SerializeAsString());
  return true;
}

bool Device::on_welcome(const Frame& f) {
  v1::Welcome m;
  if (ready_ || !parse(m, f)) return false;
  token_ = m.resume_token();
  heartbeat_s_ = m.heartbeat_s();
  window_ = std::max<std::uint32_t>(1, m.max_inflight());
  epoch_ = m.session_epoch();
  ready_ = true;
  h_.on_welcome(m.resumed());
  send_reports();
  return true;
}

std::uint64_t Device::report(FrameType type, std::string envelope, std::uint8_t flags) {
  if (type == FrameType::telemetry && (flags & kAckWanted) == 0) {
    if (ready_) put(type, 0, envelope, flags);
    return 0;
  }
  if (kept_.size() >= options_.kept_max) return 0;
  kept_.push_back({++numbers_, type, flags, std::move(envelope)});
  send_reports();
  return numbers_;
}

void Device::send_reports() {
  while (ready_ && sent_ < kept_.size() && sent_ < window_) {
    const Report& r = kept_[sent_++];
    const std::uint8_t again = r.number <= said_before_ ? kAgain : 0;
    put(r.type, acked_ + static_cast<std::uint32_t>(sent_), r.envelope, r.flags | again);
  }
}

bool Device::on_ack(const Frame& f) {
  v1::Ack m;
  if (!parse(m, f) || f.seq < acked_ || f.seq - acked_ > sent_) return false;
  while (acked_ < f.seq) {
    const std::uint64_t number = kept_.front().number;
    ++acked_;
    --sent_;
    kept_.pop_front();
    const auto refused = std::find_if(m.refused().begin(), m.refused().end(),
                                      [this](const auto& r) { return r.seq() == acked_; });
    if (refused == m.refused().end()) {
      h_.on_acked(number);
    } else {
      h_.on_refused(number, refused->code(), refused->text());
    }
  }
  send_reports();
  return true;
}

bool Device::on_command(const Frame& f) {
  DeviceCommand c;
  c.desired = f.type == FrameType::desired;
  c.seq = f.seq;
  c.again = (f.flags & kAgain) != 0;
  if (c.desired) {
    v1::Desired m;
    if (!parse(m, f)) return false;
    c.child = m.child();
    c.payload = m.payload();
  } else {
    v1::Command m;
    if (!parse(m, f)) return false;
    c.id = m.id();
    c.name = m.name();
    c.child = m.child();
    c.ttl_ms = m.ttl_ms();
    c.deadline_ms = m.deadline_ms();
    c.payload = m.payload();
  }
  h_.on_command(c);
  return true;
}

void Device::received(const DeviceCommand& c) {
  if (ready_ && c.seq != 0) put(FrameType::received, c.seq, {});
}

bool Device::on_end(const Frame& f) {
  DeviceEnd e;
  e.planned = f.type == FrameType::goaway;
  if (e.planned) {
    v1::GoAway m;
    if (!parse(m, f)) return false;
    e.code = m.code();
    e.endpoint = m.endpoint();
    e.retry_after_ms = m.reconnect_after_ms();
  } else {
    v1::Error m;
    if (!parse(m, f)) return false;
    e.code = m.code();
    e.text = m.text();
    e.quota = m.quota();
    e.retry_after_ms = m.retry_after_ms();
  }
  h_.on_end(e);
  return false;
}

void Device::ping() {
  if (ready_) put(FrameType::ping, 0, {});
}

void Device::bye() {
  if (ready_) put(FrameType::bye, 0, {});
}

}  // namespace berth::protocol::park
