// Bytes between edge and engine. Version 6.
//
//   frame     := length:u32le (of what follows) type:u8 payload
//   turn      := record*   what one side did in one turn of its loop; applied as a whole
//
//   edge -> engine
//   hello     := version edge_id output_cap heartbeat_ms version_min generation flags name
//                partition partitions
//                (flags: 1 remote, 2 internal; what follows heartbeat_ms since version 2, the
//                partitions since version 3)
//   accepted  := turns         how many of the engine's turns have been applied (remote)
//   alive     := serving_term lost_term nominate:u8    every heartbeat_ms (remote)
//   admits    := per_second    connections it could let in now, every heartbeat_ms (remote)
//   skip      := work:u64le    a forwarded message that killed engines (remote; ADR 10)
//   kept_out  := (principal:u64le[2] seconds)*   who has killed engines, or is free again; before
//   the
//                attaches, and when it changes (since version 4)
//   strike    := bytes         an engine died of a principal's work: for the other edges, which
//   hear
//                it as it is; both ways (remote; since version 4)
//   goodbye   := (empty)       the edge's connections have ended, it will not come back
//   drain, stop := (empty)     scrape := id
//   ask, answer                questions.h (since version 5)
//
//   engine -> edge
//   welcome   := version engine_id (setting:u8 value)*      answers a remote hello
//   refused   := text          then the end of the stream
//   status    := state:u8 term started_ms store_ok:u8 process held ending:u8 unfit:u8
//                (every heartbeat_ms; remote; from process on since version 3, unfit since 4)
//   ready     := version       attach now
//   checked   := text          the first word of a supervised engine, before its hello: why it
//   could
//                not serve with its configuration; empty: nothing is in the way (since version 4)
//   dying     := conn          our last word: we die of this connection's input (remote)
//   dying_forwarded := work:u64le   the same, of a message of another partition (remote)
//   settings  := (setting:u8 value)*   as in welcome, those that change; every heartbeat_ms
//   (remote) keep_out  := hash:u64le    of a client id that killed engines; both ways (remote)
//   clock     := ms:u64le      by which this engine counts deadlines, now: each second, and before
//   a
//                turn that has deadlines (since version 5)
//   heartbeat, drained := (empty)
//   samples   := id (family label value help counter:u8 value)*
//
// Records, edge -> engine (numbers are varints, strings have a length in front):
//   'A' conn epoch in_ack in_end out_off written flags:u8 peer cookie:string[n]
//       flags: 1 connected, 2 loopback, 4 ended, 8 authorities (both since version 4); peer:
//       address:u8[16] port:u16le [name_size:varint, with authorities] and the certificate's name
//       and authorities, or empty (connected)
//   'Z' (attached_all)
//   'I' conn offset in_ack bytes      'C' conn reason:u8       'W' conn written
//   'X' conn tag              a part has been dropped unsent (since version 5); repeated to each
//                             engine until a step says that it is taken
//   'F' conn tag fate:u8      the same of a command's packet, and what has become of it; repeated
//                             behind the connection's 'A', before 'Z' (since version 6)
//   'P' conn tag              behind 'A': a command's packet is in the connection's output, and a
//                             fate of it follows (since version 6)
// Records, engine -> edge:
//   'S' conn epoch out_off flags:u8 bytes [in_ack] [connected:u8 version:u8 keep_alive]
//       [n (slot:u8 bytes)*] [reason:u8] [principal:u64le[2] tenant:u64le anonymous:u8]
//       [n (skip size not_after:ms tag)* n tag*] [n (part flags:u8)* n (tag fate:u8)*]
//   flags: 1 in_ack, 2 settings, 4 cookie slots, 8 close, 16 release, 32 principal; these and
//   slot 6 since version 4; 64 parts: of `bytes`, from the end of the part before on, `skip` have
//   no deadline and the next `size` have one; and tags of 'X' that are taken (since version 5);
//   128 commands: those of the parts, by their place, that are watched (flags: 1 watch, 2 fresh);
//   and what is taken of 'F' (since version 6)
// Raw bytes instead of Protobuf: these records are made per message.
// A reader ignores frames of unknown types; unknown records end a turn with an error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "protocol/link/types.h"

namespace berth::protocol::link {

inline constexpr std::uint32_t kVersion = 6;
inline constexpr std::uint32_t kPrincipalsSince = 4;
inline constexpr std::uint32_t kDeadlinesSince = 5;
inline constexpr std::uint32_t kQuestionsSince = 5;
inline constexpr std::uint32_t kFatesSince = 6;
inline constexpr std::uint32_t kVersionMin = 1;  // the oldest we still speak
inline constexpr std::size_t kFrameHeader = 5;
inline constexpr std::size_t kFrameMax = std::size_t{1} << 30;

enum class FrameType : std::uint8_t {
  hello = 1,
  turn = 2,
  drain = 3,
  scrape = 4,
  stop = 5,
  accepted = 6,
  alive = 7,
  goodbye = 8,
  admits = 10,
  skip = 11,
  kept_out = 12,
  strike = 13,
  ask = 14,
  ready = 17,
  heartbeat = 18,
  samples = 19,
  drained = 20,
  welcome = 21,
  refused = 22,
  status = 23,
  dying = 24,
  keep_out = 25,
  settings = 26,
  dying_forwarded = 27,
  checked = 28,
  clock = 29,
  answer = 30
};

struct FrameView {
  FrameType type{};
  std::string_view payload;
  std::size_t size = 0;  // with the header
};
// complete, need_more or (a length above kFrameMax or of 0) malformed.
enum class FrameResult : std::uint8_t { complete, need_more, malformed };
FrameResult next_frame(std::string_view in, FrameView& out);
// Bytes that the frame at the front says follow its length; 0: not even that is there.
std::size_t frame_length(std::string_view in);

// begin_frame/end_frame: what is appended between them is the payload.
std::size_t begin_frame(std::string& out, FrameType type);
void end_frame(std::string& out, std::size_t at);

// A frame of one word: dying, keep_out, skip, ….
void put_word_frame(std::string& out, FrameType type, std::uint64_t word);

struct Hello {
  std::uint64_t version = kVersion;
  std::uint64_t edge_id = 0;
  std::uint64_t output_cap = 0;
  std::uint64_t heartbeat_ms = 0;
  std::uint64_t version_min = kVersionMin;
  std::uint64_t generation = 0;  // of this edge's links, rising: an older one is stale
  bool remote = false;           // over TCP: accepted, alive, welcome and status are spoken
  bool internal = false;         // an engine's own edge: carries bridges, has no vote (ADR 10)
  std::string name;              // for people
  std::uint64_t partition = 0;   // whose connections this link carries
  std::uint64_t partitions = 1;  // of the gateway, as the edge is configured
};
void put_hello(std::string& out, const Hello& h);
bool get_hello(std::string_view in, Hello& h);
// The version both speak, 0: none.
std::uint64_t common_version(std::uint64_t version_min, std::uint64_t version);

// What an engine tells edges to do; the edge's own configuration has no say in it.
enum class Setting : std::uint8_t {
  packet_max = 1,         // bytes; the edge refuses a link whose packets it could not keep
  connect_timeout_s = 2,  // first byte to CONNACK
  quarantine_s = 3,
  others_admit_per_s = 4  // what all other edges could let in now; kUnbounded: there are none
};
inline constexpr std::uint64_t kUnbounded = 0xffffffff;
using Settings = std::vector<std::pair<Setting, std::uint64_t>>;  // unknown ones are skipped
void put_kept_out(std::string& out, const std::vector<KeptOut>& list);
bool get_kept_out(std::string_view in, std::vector<KeptOut>& list);
void put_settings(std::string& out, const Settings& s);
bool get_settings(std::string_view in, Settings& s);
struct Welcome {
  std::uint64_t version = kVersion;
  std::uint64_t engine_id = 0;
  Settings settings;
};
void put_welcome(std::string& out, const Welcome& w);
bool get_welcome(std::string_view in, Welcome& w);

enum class EngineState : std::uint8_t { standby = 0, starting = 1, serving = 2, leaving = 3 };
const char* name_of(EngineState state);
struct Status {
  EngineState state = EngineState::standby;
  std::uint64_t term = 0;        // serving: its own; else the newest it knows of
  std::uint64_t started_ms = 0;  // Unix time of the process
  bool store_ok = false;
  std::uint64_t process = 0;  // random: the statuses of one engine's partitions have the same
  std::uint64_t held = 0;     // partitions that this engine serves or is about to
  bool ending = false;        // the whole engine
  bool unfit = false;         // its files are bad: another engine is to serve, if there is one
};
void put_status(std::string& out, const Status& s);
bool get_status(std::string_view in, Status& s);

struct Alive {
  std::uint64_t serving_term = 0;  // of the engine this edge is attached to, 0: none
  std::uint64_t lost_term = 0;     // the newest term it has heard of
  bool nominate = false;           // it has no engine that serves it and asks this one to
};
void put_alive(std::string& out, const Alive& a);
bool get_alive(std::string_view in, Alive& a);

void put_attach(std::string& out, const Attach& a);
void put_attached_all(std::string& out);
void put_input(std::string& out, base::ConnId conn, std::uint64_t offset, std::uint64_t in_ack,
               std::string_view bytes);
void put_closed(std::string& out, base::ConnId conn, CloseReason reason);
void put_credit(std::string& out, base::ConnId conn, std::uint64_t written);
void put_expired(std::string& out, base::ConnId conn, std::uint64_t tag);
void put_fate(std::string& out, base::ConnId conn, std::uint64_t tag, Fate fate);
void put_pending(std::string& out, base::ConnId conn, std::uint64_t tag);

class EdgeTurnVisitor {
 public:
  virtual ~EdgeTurnVisitor() = default;
  virtual void on_attach(const Attach& a) = 0;
  virtual void on_attached_all() = 0;
  virtual void on_input(base::ConnId conn, std::uint64_t offset, std::uint64_t in_ack,
                        std::string_view bytes) = 0;
  virtual void on_closed(base::ConnId conn, CloseReason reason) = 0;
  virtual void on_credit(base::ConnId conn, std::uint64_t written) = 0;
  virtual void on_expired(base::ConnId, std::uint64_t /*tag*/) {}
  virtual void on_fate(base::ConnId, std::uint64_t /*tag*/, Fate) {}
  virtual void on_pending(base::ConnId, std::uint64_t /*tag*/) {}
};
bool visit_edge_turn(std::string_view in, EdgeTurnVisitor& v);  // false: malformed from there on

// Bytes of a step that have a deadline: whole packets.
struct TimedPart {
  std::uint64_t skip = 0;  // bytes between the end of the part before and this one
  std::uint64_t size = 0;
  Deadline deadline;
};

// One atomic answer of an engine for one connection.
struct Step {
  base::ConnId conn;
  std::uint32_t attach_epoch = 0;
  std::uint64_t out_off = 0;  // before `bytes`
  std::string_view bytes;
  bool has_in_ack = false;
  bool has_settings = false;
  bool has_close = false;
  bool release = false;
  bool has_principal = false;  // of `settings`; only to an edge of version 4
  std::uint64_t in_ack = 0;
  EdgeSettings settings;
  CloseReason reason{};
  std::vector<std::pair<CookieSlot, std::string_view>> cookies;
  // Only to an edge of version 5: one of the release before never gets them, and writes the bytes
  // of parts whenever the socket takes them, however late. From an older engine there are none.
  bool has_parts = false;                    // `parts`, expired_taken, or both
  std::vector<TimedPart> parts;              // in the order of `bytes`
  std::vector<std::uint64_t> expired_taken;  // tags of 'X'
  // Only to an edge of version 6: watched parts, fates_taken, or both.
  bool has_commands = false;
  std::vector<std::pair<std::uint64_t, Fate>> fates_taken;  // of 'F'
};
void put_step(std::string& out, const Step& s);

class EngineTurnVisitor {
 public:
  virtual ~EngineTurnVisitor() = default;
  virtual void on_step(const Step& s) = 0;
};
// Decodes the whole turn before the first on_step(): a malformed turn changes nothing.
bool visit_engine_turn(std::string_view in, EngineTurnVisitor& v);

}  // namespace berth::protocol::link
