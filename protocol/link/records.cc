#include "protocol/link/records.h"

#include <algorithm>
#include <cstring>

#include "base/pen.h"

namespace berth::protocol::link {

using base::put_bytes;
using base::put_varint;
using base::RecordReader;

std::size_t frame_length(std::string_view in) {
  if (in.size() < 4) return 0;
  std::uint32_t length = 0;
  for (int i = 3; i >= 0; --i)
    length = (length << 8) | static_cast<std::uint8_t>(in[static_cast<std::size_t>(i)]);
  return length;
}

FrameResult next_frame(std::string_view in, FrameView& out) {
  if (in.size() < kFrameHeader) return FrameResult::need_more;
  const std::size_t length = frame_length(in);
  if (length == 0 || length > kFrameMax) return FrameResult::malformed;
  if (in.size() < 4u + length) return FrameResult::need_more;
  out.type = static_cast<FrameType>(in[4]);
  out.payload = in.substr(kFrameHeader, length - 1);
  out.size = 4u + length;
  return FrameResult::complete;
}

std::size_t begin_frame(std::string& out, FrameType type) {
  const std::size_t at = out.size();
  const char header[kFrameHeader] = {0, 0, 0, 0, static_cast<char>(type)};
  out.append(header, kFrameHeader);
  return at;
}

void end_frame(std::string& out, std::size_t at) {
  const auto length = static_cast<std::uint32_t>(out.size() - at - 4);
  char bytes[4];
  for (unsigned i = 0; i < 4; ++i) bytes[i] = static_cast<char>(length >> (8 * i));
  std::memcpy(out.data() + at, bytes, sizeof bytes);
}

void put_word_frame(std::string& out, FrameType type, std::uint64_t word) {
  const std::size_t at = begin_frame(out, type);
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(word >> (8 * i)));
  end_frame(out, at);
}

void put_hello(std::string& out, const Hello& h) {
  put_varint(out, h.version);
  put_varint(out, h.edge_id);
  put_varint(out, h.output_cap);
  put_varint(out, h.heartbeat_ms);
  put_varint(out, h.version_min);
  put_varint(out, h.generation);
  put_varint(out, (h.remote ? 1 : 0) | (h.internal ? 2 : 0));
  put_bytes(out, h.name);
  put_varint(out, h.partition);
  put_varint(out, h.partitions);
}

bool get_hello(std::string_view in, Hello& h) {
  RecordReader r(in);
  h = {.version = r.varint(),
       .edge_id = r.varint(),
       .output_cap = r.varint(),
       .heartbeat_ms = r.varint()};
  h.version_min = h.version;
  if (r.done()) return r.ok();  // version 1
  h.version_min = r.varint();
  h.generation = r.varint();
  const std::uint64_t flags = r.varint();
  h.remote = (flags & 1) != 0;
  h.internal = (flags & 2) != 0;
  h.name = r.bytes();
  if (r.done()) return r.ok();  // version 2
  h.partition = r.varint();
  h.partitions = r.varint();
  return r.ok();
}

std::uint64_t common_version(std::uint64_t version_min, std::uint64_t version) {
  const std::uint64_t common = std::min<std::uint64_t>(version, kVersion);
  return common >= version_min && common >= kVersionMin ? common : 0;
}

namespace {

void put_le64(std::string& out, std::uint64_t v) {
  for (unsigned i = 0; i < 8; ++i) out.push_back(static_cast<char>(v >> (8 * i)));
}

std::uint64_t get_le64(RecordReader& r) {
  std::uint64_t v = 0;
  for (unsigned i = 0; i < 8; ++i) v |= static_cast<std::uint64_t>(r.byte()) << (8 * i);
  return v;
}

}  // namespace

void put_kept_out(std::string& out, const std::vector<KeptOut>& list) {
  for (const KeptOut& k : list) {
    put_le64(out, k.id.high);
    put_le64(out, k.id.low);
    put_varint(out, k.seconds);
  }
}

bool get_kept_out(std::string_view in, std::vector<KeptOut>& list) {
  RecordReader r(in);
  list.clear();
  while (r.ok() && !r.done()) {
    KeptOut k;
    k.id.high = get_le64(r);
    k.id.low = get_le64(r);
    k.seconds = static_cast<std::uint32_t>(r.varint());
    list.push_back(k);
  }
  return r.ok();
}

void put_settings(std::string& out, const Settings& s) {
  for (const auto& [setting, value] : s) {
    out.push_back(static_cast<char>(setting));
    put_varint(out, value);
  }
}

bool get_settings(std::string_view in, Settings& s) {
  RecordReader r(in);
  s.clear();
  while (r.ok() && !r.done()) {
    const auto setting = static_cast<Setting>(r.byte());
    s.emplace_back(setting, r.varint());
  }
  return r.ok();
}

void put_welcome(std::string& out, const Welcome& w) {
  put_varint(out, w.version);
  put_varint(out, w.engine_id);
  put_settings(out, w.settings);
}

bool get_welcome(std::string_view in, Welcome& w) {
  RecordReader r(in);
  w.version = r.varint();
  w.engine_id = r.varint();
  return r.ok() && get_settings(r.rest(), w.settings);
}

const char* name_of(EngineState s) {
  switch (s) {
    case EngineState::standby:
      return "standby";
    case EngineState::starting:
      return "starting";
    case EngineState::serving:
      return "serving";
    case EngineState::leaving:
      return "leaving";
  }
  return "unknown";
}

void put_status(std::string& out, const Status& s) {
  out.push_back(static_cast<char>(s.state));
  put_varint(out, s.term);
  put_varint(out, s.started_ms);
  out.push_back(s.store_ok ? 1 : 0);
  put_varint(out, s.process);
  put_varint(out, s.held);
  out.push_back(s.ending ? 1 : 0);
  out.push_back(s.unfit ? 1 : 0);
}

bool get_status(std::string_view in, Status& s) {
  RecordReader r(in);
  s.state = static_cast<EngineState>(r.byte());
  s.term = r.varint();
  s.started_ms = r.varint();
  s.store_ok = r.byte() != 0;
  s.process = s.held = 0;
  s.ending = s.unfit = false;
  if (r.done()) return r.ok();  // version 2
  s.process = r.varint();
  s.held = r.varint();
  s.ending = r.byte() != 0;
  if (r.done()) return r.ok();  // version 3
  s.unfit = r.byte() != 0;
  return r.ok();
}

void put_alive(std::string& out, const Alive& a) {
  put_varint(out, a.serving_term);
  put_varint(out, a.lost_term);
  out.push_back(a.nominate ? 1 : 0);
}

bool get_alive(std::string_view in, Alive& a) {
  RecordReader r(in);
  a.serving_term = r.varint();
  a.lost_term = r.varint();
  a.nominate = r.byte() != 0;
  return r.ok();
}

namespace {

void put_peer(std::string& out, const Attach& a) {
  std::string name;  // of who has logged in it is in the cookie
  if (!a.connected) {
    if (!a.authorities.empty()) put_varint(name, a.certificate.size());
    name.append(a.certificate).append(a.authorities);
  }
  put_varint(out, a.peer.bytes.size() + 2 + name.size());
  out.append(reinterpret_cast<const char*>(a.peer.bytes.data()), a.peer.bytes.size());
  out.push_back(static_cast<char>(a.peer_port));
  out.push_back(static_cast<char>(a.peer_port >> 8));
  out.append(name);
}

void get_peer(std::string_view in, bool with_authorities, Attach& a) {
  constexpr std::size_t kAddress = 16;
  if (in.size() < kAddress + 2) return;  // not said
  std::copy_n(in.begin(), kAddress, a.peer.bytes.begin());
  const auto at = [in](std::size_t i) { return static_cast<std::uint8_t>(in[kAddress + i]); };
  a.peer_port = static_cast<std::uint16_t>(at(0) | (at(1) << 8));
  in.remove_prefix(kAddress + 2);
  a.certificate = in;
  if (!with_authorities) return;
  RecordReader r(in);
  const std::uint64_t size = r.varint();
  const std::string_view rest = r.rest();
  a.certificate = rest.substr(0, size);
  a.authorities = size <= rest.size() ? rest.substr(size) : std::string_view();
}

}  // namespace

void put_attach(std::string& out, const Attach& a) {
  out.push_back('A');
  put_varint(out, a.conn.packed());
  put_varint(out, a.attach_epoch);
  put_varint(out, a.in_ack);
  put_varint(out, a.in_end);
  put_varint(out, a.out_off);
  put_varint(out, a.written);
  out.push_back(static_cast<char>((a.connected ? 1 : 0) | (a.loopback ? 2 : 0) | (a.ended ? 4 : 0) |
                                  (a.connected || a.authorities.empty() ? 0 : 8)));
  put_peer(out, a);
  put_varint(out, a.cookie.size());
  for (const std::string& slot : a.cookie) put_bytes(out, slot);
}

void put_attached_all(std::string& out) {
  out.push_back('Z');
}

void put_input(std::string& out, base::ConnId conn, std::uint64_t offset, std::uint64_t in_ack,
               std::string_view bytes) {
  out.push_back('I');
  put_varint(out, conn.packed());
  put_varint(out, offset);
  put_varint(out, in_ack);
  put_bytes(out, bytes);
}

void put_closed(std::string& out, base::ConnId conn, CloseReason reason) {
  out.push_back('C');
  put_varint(out, conn.packed());
  out.push_back(static_cast<char>(reason));
}

void put_credit(std::string& out, base::ConnId conn, std::uint64_t written) {
  out.push_back('W');
  put_varint(out, conn.packed());
  put_varint(out, written);
}

void put_expired(std::string& out, base::ConnId conn, std::uint64_t tag) {
  out.push_back('X');
  put_varint(out, conn.packed());
  put_varint(out, tag);
}

void put_fate(std::string& out, base::ConnId conn, std::uint64_t tag, Fate fate) {
  out.push_back('F');
  put_varint(out, conn.packed());
  put_varint(out, tag);
  out.push_back(static_cast<char>(fate));
}

void put_pending(std::string& out, base::ConnId conn, std::uint64_t tag) {
  out.push_back('P');
  put_varint(out, conn.packed());
  put_varint(out, tag);
}

namespace {

bool get_attach(RecordReader& r, Attach& a) {
  a.conn = base::ConnId::from_packed(r.varint());
  a.attach_epoch = static_cast<std::uint32_t>(r.varint());
  a.in_ack = r.varint();
  a.in_end = r.varint();
  a.out_off = r.varint();
  a.written = r.varint();
  const std::uint8_t flags = r.byte();
  a.connected = (flags & 1) != 0;
  a.loopback = (flags & 2) != 0;
  a.ended = (flags & 4) != 0;
  get_peer(r.bytes(), (flags & 8) != 0, a);
  const std::uint64_t n = r.varint();
  for (std::uint64_t i = 0; i < n && r.ok(); ++i) {  // slots of a newer edge are dropped
    const std::string_view slot = r.bytes();
    if (i < a.cookie.size()) a.cookie[i] = slot;
  }
  return r.ok();
}

// Of a packet with a deadline.
bool visit_packet_record(char kind, RecordReader& r, EdgeTurnVisitor& v) {
  const auto conn = base::ConnId::from_packed(r.varint());
  const std::uint64_t tag = r.varint();
  const std::uint8_t fate = kind == 'F' ? r.byte() : 0;
  if (!r.ok() || fate >= static_cast<std::uint8_t>(Fate::count)) return false;
  if (kind == 'X') v.on_expired(conn, tag);
  if (kind == 'F') v.on_fate(conn, tag, static_cast<Fate>(fate));
  if (kind == 'P') v.on_pending(conn, tag);
  return true;
}

bool visit_edge_record(RecordReader& r, EdgeTurnVisitor& v) {
  const std::uint8_t kind = r.byte();
  switch (kind) {
    case 'A': {
      Attach a;
      if (!get_attach(r, a)) return false;
      v.on_attach(a);
      return true;
    }
    case 'Z':
      v.on_attached_all();
      return true;
    case 'I': {
      const auto conn = base::ConnId::from_packed(r.varint());
      const std::uint64_t offset = r.varint();
      const std::uint64_t in_ack = r.varint();
      const std::string_view bytes = r.bytes();
      if (r.ok()) v.on_input(conn, offset, in_ack, bytes);
      return r.ok();
    }
    case 'C': {
      const auto conn = base::ConnId::from_packed(r.varint());
      const std::uint8_t reason = r.byte();
      if (!r.ok() || reason >= static_cast<std::uint8_t>(CloseReason::count)) return false;
      v.on_closed(conn, static_cast<CloseReason>(reason));
      return true;
    }
    case 'W': {
      const auto conn = base::ConnId::from_packed(r.varint());
      const std::uint64_t written = r.varint();
      if (r.ok()) v.on_credit(conn, written);
      return r.ok();
    }
    case 'X':
    case 'F':
    case 'P':
      return visit_packet_record(static_cast<char>(kind), r, v);
    default:
      return false;
  }
}

}  // namespace

bool visit_edge_turn(std::string_view in, EdgeTurnVisitor& v) {
  RecordReader r(in);
  while (!r.done()) {
    if (!visit_edge_record(r, v)) return false;
  }
  return r.ok();
}

namespace {

void put_parts(std::string& out, const Step& s) {
  put_varint(out, s.parts.size());
  for (const TimedPart& p : s.parts) {
    put_varint(out, p.skip);
    put_varint(out, p.size);
    put_varint(out, static_cast<std::uint64_t>(std::max<std::int64_t>(p.deadline.not_after.ms, 0)));
    put_varint(out, p.deadline.tag);
  }
  put_varint(out, s.expired_taken.size());
  for (const std::uint64_t tag : s.expired_taken) put_varint(out, tag);
}

constexpr std::uint8_t kWatch = 1;
constexpr std::uint8_t kFresh = 2;

void put_commands(std::string& out, const Step& s) {
  const auto watched = [](const TimedPart& p) { return p.deadline.watch; };
  put_varint(out,
             static_cast<std::uint64_t>(std::count_if(s.parts.begin(), s.parts.end(), watched)));
  for (std::size_t i = 0; i < s.parts.size(); ++i) {
    if (!watched(s.parts[i])) continue;
    put_varint(out, i);
    out.push_back(static_cast<char>(kWatch | (s.parts[i].deadline.fresh ? kFresh : 0)));
  }
  put_varint(out, s.fates_taken.size());
  for (const auto& [tag, fate] : s.fates_taken) {
    put_varint(out, tag);
    out.push_back(static_cast<char>(fate));
  }
}

// False: there is no such part, or it is none of a command.
bool get_commands(RecordReader& r, Step& s) {
  for (std::uint64_t n = r.varint(); n != 0 && r.ok(); --n) {
    const std::uint64_t i = r.varint();
    const std::uint8_t flags = r.byte();
    if (i >= s.parts.size() || !is_command(s.parts[i].deadline.tag)) return false;
    s.parts[i].deadline.watch = (flags & kWatch) != 0;
    s.parts[i].deadline.fresh = (flags & (kWatch | kFresh)) == (kWatch | kFresh);
  }
  for (std::uint64_t n = r.varint(); n != 0 && r.ok(); --n) {
    const std::uint64_t tag = r.varint();
    const std::uint8_t fate = r.byte();
    if (fate >= static_cast<std::uint8_t>(Fate::count)) return false;
    s.fates_taken.emplace_back(tag, static_cast<Fate>(fate));
  }
  return r.ok();
}

// False: they do not lie within the step's bytes.
bool get_parts(RecordReader& r, Step& s) {
  const std::uint64_t n = r.varint();
  std::uint64_t room = s.bytes.size();
  for (std::uint64_t i = 0; i < n && r.ok(); ++i) {
    TimedPart p;
    p.skip = r.varint();
    p.size = r.varint();
    p.deadline.not_after.ms = static_cast<std::int64_t>(r.varint() & INT64_MAX);
    p.deadline.tag = r.varint();
    if (p.size == 0 || p.skip > room || p.size > room - p.skip) return false;
    room -= p.skip + p.size;
    s.parts.push_back(p);
  }
  for (std::uint64_t i = r.varint(); i != 0 && r.ok(); --i) s.expired_taken.push_back(r.varint());
  return r.ok();
}

}  // namespace

void put_step(std::string& out, const Step& s) {
  base::Pen<37> head;
  head.byte('S');
  head.varint(s.conn.packed());
  head.varint(s.attach_epoch);
  head.varint(s.out_off);
  head.byte((s.has_in_ack ? 1U : 0) | (s.has_settings ? 2U : 0) | (s.cookies.empty() ? 0U : 4U) |
            (s.has_close ? 8U : 0) | (s.release ? 16U : 0) | (s.has_principal ? 32U : 0) |
            (s.has_parts ? 64U : 0) | (s.has_commands ? 128U : 0));
  head.varint(s.bytes.size());
  head.append_to(out);
  out.append(s.bytes);
  if (s.has_in_ack) put_varint(out, s.in_ack);
  if (s.has_settings) {
    out.push_back(s.settings.connected ? 1 : 0);
    out.push_back(static_cast<char>(s.settings.version));
    put_varint(out, s.settings.keep_alive_s);
  }
  if (!s.cookies.empty()) {
    put_varint(out, s.cookies.size());
    for (const auto& [slot, bytes] : s.cookies) {
      out.push_back(static_cast<char>(slot));
      put_bytes(out, bytes);
    }
  }
  if (s.has_close) out.push_back(static_cast<char>(s.reason));
  if (s.has_principal) {
    put_le64(out, s.settings.principal.high);
    put_le64(out, s.settings.principal.low);
    put_le64(out, s.settings.tenant);
    out.push_back(s.settings.anonymous ? 1 : 0);
  }
  if (s.has_parts) put_parts(out, s);
  if (s.has_commands) put_commands(out, s);
}

namespace {

bool get_step(RecordReader& r, Step& s) {
  if (r.byte() != 'S') return false;
  s.conn = base::ConnId::from_packed(r.varint());
  s.attach_epoch = static_cast<std::uint32_t>(r.varint());
  s.out_off = r.varint();
  const std::uint8_t flags = r.byte();
  s.bytes = r.bytes();
  if (s.has_parts || s.has_commands) {  // of the step before
    s.parts.clear();
    s.expired_taken.clear();
    s.fates_taken.clear();
  }
  s.has_in_ack = (flags & 1) != 0;
  s.has_settings = (flags & 2) != 0;
  s.has_close = (flags & 8) != 0;
  s.release = (flags & 16) != 0;
  if (s.has_in_ack) s.in_ack = r.varint();
  if (s.has_settings) {
    s.settings.connected = r.byte() != 0;
    s.settings.version = r.byte();
    s.settings.keep_alive_s = static_cast<std::uint16_t>(r.varint());
  }
  s.cookies.clear();
  if ((flags & 4) != 0) {
    const std::uint64_t n = r.varint();
    for (std::uint64_t i = 0; i < n && r.ok(); ++i) {
      const auto slot = static_cast<CookieSlot>(r.byte());
      s.cookies.emplace_back(slot, r.bytes());
    }
  }
  if (s.has_close) s.reason = static_cast<CloseReason>(r.byte());
  s.has_principal = (flags & 32) != 0;
  if (s.has_principal) {
    s.settings.principal.high = get_le64(r);
    s.settings.principal.low = get_le64(r);
    s.settings.tenant = get_le64(r);
    s.settings.anonymous = r.byte() != 0;
  }
  s.has_parts = (flags & 64) != 0;
  if (s.has_parts && !get_parts(r, s)) return false;
  s.has_commands = (flags & 128) != 0;
  if (s.has_commands && !get_commands(r, s)) return false;
  return r.ok() && s.reason < CloseReason::count;
}

}  // namespace

bool visit_engine_turn(std::string_view in, EngineTurnVisitor& v) {
  RecordReader check(in);
  Step s;
  while (!check.done()) {
    if (!get_step(check, s)) return false;
  }
  RecordReader r(in);
  while (!r.done()) {
    s = {};
    get_step(r, s);
    v.on_step(s);
  }
  return true;
}

}  // namespace berth::protocol::link
