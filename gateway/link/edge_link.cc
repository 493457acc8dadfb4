#include "gateway/link/edge_link.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/wall_clock.h"

namespace berth::gateway::link {

using namespace protocol::link;  // the records' vocabulary

namespace {
constexpr std::size_t kBeforeWelcome = 4096;     // bytes of a frame, of a remote engine
constexpr std::size_t kTurnFrameMax = 1u << 20;  // split what an edge says; it need not be atomic
}  // namespace

EdgeLink::EdgeLink(boost::asio::io_context& io, StepSink& edge, Events events)
    : edge_(edge),
      events_(std::move(events)),
      poller_(io, *this),
      socket_(poller_, 0),
      questions_(io) {
  poller_.start();
}

void EdgeLink::open(int fd, const Hello& hello, SSL* tls) {
  socket_.open(fd, tls);
  in_turn_ = false;
  remote_ = hello.remote;
  socket_.set_frame_max(remote_ ? kBeforeWelcome : kFrameMax);
  turns_ = turns_reported_ = 0;
  malformed_ = false;
  clock_ = {};
  heard_ns_ = base::monotonic_ns();
  socket_.send(FrameType::hello, [&](std::string& out) { put_hello(out, hello); });
}

void EdgeLink::close() {
  serving_ = false;
  in_turn_ = false;
  if (!socket_.is_open()) return;
  closing_ = true;
  for (int pass = 0; pass < 64; ++pass) {  // what a dead engine had written whole still counts
    if (!socket_.read([this](const FrameView& f) { on_frame(f); })) break;
  }
  closing_ = false;
  socket_.close();
  questions_.answer_all(AskError::link_lost);
  edge_.flush();
}

void EdgeLink::send_empty(FrameType type) {
  turn_end();
  socket_.send(type);
}

void EdgeLink::scrape(std::uint64_t id) {
  turn_end();
  socket_.send(FrameType::scrape, [&](std::string& out) { base::put_varint(out, id); });
}

std::string& EdgeLink::turn() {
  std::string& out = socket_.out();
  if (in_turn_ && out.size() - turn_at_ > kTurnFrameMax) turn_end();
  if (!in_turn_) {
    turn_at_ = begin_frame(out, FrameType::turn);
    in_turn_ = true;
  }
  return out;
}

void EdgeLink::attach(const Attach& a) {
  if (engine_version_ >= kSubscriptionSlotSince) return put_attach(turn(), a);
  Attach known = a;  // by an engine of the last release
  join_subscriptions(known.cookie);
  known.authorities.clear();
  put_attach(turn(), known);
}
void EdgeLink::attached_all() {
  put_attached_all(turn());
  turn_end();  // the engine takes what follows only when all edges have attached
}
std::size_t EdgeLink::input(base::ConnId conn, std::uint64_t offset, std::uint64_t in_ack,
                            base::ByteView bytes) {
  if (serving_) put_input(turn(), conn, offset, in_ack, base::as_text(bytes));
  return 0;
}
void EdgeLink::closed(base::ConnId conn, CloseReason cause) {
  const bool known = cause == CloseReason::cut_off && engine_version_ >= kFatesSince;
  if (serving_) put_closed(turn(), conn, known ? cause : known_to_the_release_before(cause));
}
void EdgeLink::credit(base::ConnId conn, std::uint64_t written) {
  if (serving_) put_credit(turn(), conn, written);
}

// An engine of a release before version 5 has sent no deadline, one before version 6 has watched no
// packet; what an engine before it has sent is told when the next one of this release serves.
void EdgeLink::told(base::ConnId conn, std::uint64_t tag, Fate fate) {
  if (!serving_) return;
  if (is_command(tag)) {
    if (engine_version_ >= kFatesSince) put_fate(turn(), conn, tag, fate);
  } else if (fate == Fate::dropped && engine_version_ >= kDeadlinesSince) {
    put_expired(turn(), conn, tag);
  }
}
void EdgeLink::pending(base::ConnId conn, std::uint64_t tag) {
  if (serving_ && engine_version_ >= kFatesSince) put_pending(turn(), conn, tag);
}

void EdgeLink::ask(Question q, Answered answered) {
  const auto refuse = [&answered](AskError error) { answered({error, {}}); };
  if (!serving_) return refuse(AskError::not_serving);
  if (engine_version_ < kQuestionsSince) return refuse(AskError::old_engine);
  if (q.bytes.size() > kQuestionMax) return refuse(AskError::too_large);
  if (questions_.full()) return refuse(AskError::too_many);
  turn_end();
  socket_.send(FrameType::ask, [&](std::string& out) {
    put_ask(out, questions_.add(q.limit_ms, std::move(answered)), q);
  });
}

base::Instant EdgeLink::deadline_clock() {
  return clock_.at(base::boot_time().ms);
}

void EdgeLink::send_alive(const Alive& a) {
  turn_end();
  socket_.send(FrameType::alive, [&](std::string& out) { put_alive(out, a); });
}

void EdgeLink::send_word(FrameType type, std::uint64_t word) {
  turn_end();
  put_word_frame(socket_.out(), type, word);
  socket_.flush();
}

void EdgeLink::send_strike(std::string_view strike) {
  turn_end();
  socket_.send(FrameType::strike, strike);
}

void EdgeLink::kept_out(const std::vector<KeptOut>& list) {
  if (!serving_ || list.empty()) return;
  turn_end();
  const std::size_t at = begin_frame(socket_.out(), FrameType::kept_out);
  put_kept_out(socket_.out(), list);
  end_frame(socket_.out(), at);
}

void EdgeLink::send_skip(ForwardedWork w) {
  send_word(FrameType::skip, w.packed());
}

void EdgeLink::send_admits(std::uint32_t per_second) {
  turn_end();
  socket_.send(FrameType::admits, [&](std::string& out) { base::put_varint(out, per_second); });
}

void EdgeLink::turn_end() {
  if (in_turn_) {
    end_frame(socket_.out(), turn_at_);
    in_turn_ = false;
  }
  if (remote_ && turns_ != std::exchange(turns_reported_, turns_)) {
    const std::size_t at = begin_frame(socket_.out(), FrameType::accepted);
    base::put_varint(socket_.out(), turns_);
    end_frame(socket_.out(), at);
  }
  if (socket_.unsent() != 0) socket_.flush();
}

void EdgeLink::on_event(std::uint64_t, std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) socket_.on_writable();
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0 || !socket_.is_open()) return;
  heard_ns_ = base::monotonic_ns();
  if (!socket_.read([this](const FrameView& f) { on_frame(f); }) || malformed_) {
    serving_ = false;
    in_turn_ = false;
    socket_.close();
    questions_.answer_all(AskError::link_lost);
    events_.lost();
  }
}

void EdgeLink::on_turn_end() {
  edge_.flush();
  turn_end();
}

void EdgeLink::on_frame(const FrameView& f) {
  switch (f.type) {
    case FrameType::turn:
      ++turns_;
      if (!visit_engine_turn(f.payload, *this)) {
        BERTH_LOG(err, "link turn malformed bytes={}", f.size);
        malformed_ = true;
      }
      return;
    case FrameType::welcome: {
      Welcome w;
      if (!get_welcome(f.payload, w)) return;
      socket_.set_frame_max(kFrameMax);  // it is an engine that has taken our hello
      if (events_.welcome) events_.welcome(w);
      return;
    }
    case FrameType::status: {
      Status st;
      if (get_status(f.payload, st) && events_.status) events_.status(st);
      return;
    }
    case FrameType::dying:
      if (f.payload.size() == 8 && events_.dying)
        events_.dying(base::ConnId::from_packed(base::get_le64(f.payload)));
      return;
    case FrameType::strike:
      if (events_.strike) events_.strike(f.payload);
      return;
    case FrameType::dying_forwarded:
      if (f.payload.size() == 8 && events_.dying_forwarded)
        events_.dying_forwarded(ForwardedWork::from_packed(base::get_le64(f.payload)));
      return;
    case FrameType::settings: {
      Settings settings;
      if (get_settings(f.payload, settings) && events_.settings) events_.settings(settings);
      return;
    }
    case FrameType::answer: {
      std::uint64_t number = 0;
      Answer a;
      std::string_view bytes;
      if (!get_answer(f.payload, number, a.error, bytes)) return;
      a.bytes = bytes;
      return questions_.answer(number, std::move(a));
    }
    case FrameType::clock:
      if (f.payload.size() == 8)
        clock_.heard(static_cast<std::int64_t>(base::get_le64(f.payload)), base::boot_time().ms);
      return;
    case FrameType::refused:
      if (events_.refused) events_.refused(f.payload);
      return;
    case FrameType::ready:
      if (closing_) return;  // it has gone
      engine_version_ = base::RecordReader(f.payload).varint();
      return events_.ready();
    case FrameType::heartbeat:
      return events_.heartbeat();
    case FrameType::drained:
      return events_.drained();
    case FrameType::samples: {
      base::RecordReader r(f.payload);  // what follows is parsed where it is needed
      const std::uint64_t id = r.varint();
      if (r.ok()) events_.samples(id, f.payload);
      return;
    }
    default:
      return;
  }
}

void EdgeLink::on_step(const Step& s) {
  if (!edge_.accepts(s.conn, s.attach_epoch, s.out_off)) return;
  for (const auto& [slot, bytes] : s.cookies) edge_.cookie(s.conn, slot, std::string(bytes));
  for (const auto& [tag, fate] : s.fates_taken) edge_.told_taken(s.conn, tag, fate);
  if (s.has_parts) {
    send_parts(s);
  } else if (!s.bytes.empty()) {
    edge_.send(s.conn, s.bytes, {});
  }
  if (s.has_settings) edge_.connected(s.conn, s.settings);
  if (s.has_in_ack) edge_.acknowledge(s.conn, s.in_ack);
  if (s.has_close) edge_.close(s.conn, s.reason);
  if (s.release) edge_.release(s.conn);
}

void EdgeLink::send_parts(const Step& s) {
  for (const std::uint64_t tag : s.expired_taken) edge_.told_taken(s.conn, tag, Fate::dropped);
  std::string_view rest = s.bytes;
  for (const TimedPart& p : s.parts) {  // they lie within (get_step)
    if (p.skip != 0) edge_.send(s.conn, rest.substr(0, p.skip), {});
    edge_.send_until(s.conn, rest.substr(p.skip, p.size), {}, p.deadline);
    rest.remove_prefix(p.skip + p.size);
  }
  if (!rest.empty()) edge_.send(s.conn, rest, {});
}

}  // namespace berth::gateway::link
