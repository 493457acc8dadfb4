#include "gateway/link/engine_link.h"

#include <boost/asio/post.hpp>

#include "base/clock.h"
#include "base/give_back.h"

namespace berth::gateway::link {

using namespace protocol::link;  // the records' vocabulary

namespace {
constexpr std::size_t kUnsentMax = 64u << 20;  // then the link's connections take nothing more
constexpr std::size_t kTurnFull = 1u << 20;    // a turn ends between inputs when it has so much
constexpr std::uint32_t kSlotsMax = 4u << 20;  // of one edge shard
constexpr std::int64_t kClockEvery_ns = 1'000'000'000;
}  // namespace

EngineLink::EngineLink(boost::asio::io_context& io, int fd, std::uint32_t number, Events events,
                       SSL* tls)
    : io_(io),
      events_(std::move(events)),
      number_(number),
      poller_(io, *this),
      socket_(poller_, 0) {
  socket_.open(fd, tls);
  poller_.start();
}

void EngineLink::ready() {
  socket_.send(FrameType::ready, [&](std::string& out) { base::put_varint(out, kVersion); });
}

void EngineLink::send_empty(FrameType type) {
  socket_.send(type);
}

void EngineLink::send_samples(const std::string& payload) {
  socket_.send(FrameType::samples, payload);
}

void EngineLink::send_welcome(const Welcome& w) {
  socket_.send(FrameType::welcome, [&](std::string& out) { put_welcome(out, w); });
}

void EngineLink::send_status(const Status& s) {
  socket_.send(FrameType::status, [&](std::string& out) { put_status(out, s); });
}

void EngineLink::send_checked(std::string_view why_not) {
  socket_.send(FrameType::checked, why_not);
}

void EngineLink::refuse(std::string_view why) {
  socket_.send(FrameType::refused, why);
  lose();
}

void EngineLink::send_strike(std::string_view strike) {
  socket_.send(FrameType::strike, strike);
}

void EngineLink::send_settings(const Settings& s) {
  socket_.send(FrameType::settings, [&](std::string& out) { put_settings(out, s); });
}

void EngineLink::last_words(FrameType type, std::uint64_t of) {
  char frame[kFrameHeader + 8] = {9, 0, 0, 0, static_cast<char>(type)};
  for (std::size_t i = 0; i < 8; ++i) frame[kFrameHeader + i] = static_cast<char>(of >> (8 * i));
  socket_.last_words(frame, sizeof frame);
}

// Nothing is read any more; the owner destroys the link when it hears of it.
void EngineLink::lose() {
  if (std::exchange(lost_, true)) return;
  engine_ = accepts_ = nullptr;
  events_.lost();
}

void EngineLink::on_event(std::uint64_t, std::uint32_t events) {
  if (lost_) return;
  if ((events & EPOLLOUT) != 0) {
    socket_.on_writable();
    if (!remote_ && all_sent()) on_accepted(turns_);
    if (congested_ && socket_.unsent() < kUnsentMax / 2) resume_waiting();
  }
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
  if (!socket_.read([this](const FrameView& f) { on_frame(f); })) lose();
}

void EngineLink::on_turn_end() {
  if (engine_ != nullptr) engine_->turn_end();
}

void EngineLink::on_accepted(std::uint64_t turn) {
  if (turn <= accepted_ || turn > turns_) return;
  accepted_ = turn;
  if (accepts_ == nullptr) return;
  accepts_->accepted(number_, turn);
  if (engine_ == nullptr) accepts_->turn_end();  // nobody else does any more
}

void EngineLink::resume_soon() {
  boost::asio::post(io_, [this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired() || lost_) return;
    resume_waiting();
    on_turn_end();
  });
}

void EngineLink::resume_waiting() {
  congested_ = false;
  for (std::size_t slot = 0; slot < conns_.size() && !congested_; ++slot) {
    if (!conns_[slot].waits || engine_ == nullptr) continue;
    if (!writable(conns_[slot].id)) continue;
    conns_[slot].waits = false;
    engine_->credit(conns_[slot].id, conns_[slot].written);
  }
}

void EngineLink::on_frame(const FrameView& f) {
  if (lost_) return;
  switch (f.type) {
    case FrameType::hello: {
      Hello h;
      if (!get_hello(f.payload, h)) return lose();
      output_cap_ = h.output_cap;
      version_ = h.version;
      remote_ = h.remote;
      return events_.hello(h);
    }
    case FrameType::accepted:
      return on_accepted(base::RecordReader(f.payload).varint());
    case FrameType::alive: {
      Alive a;
      if (get_alive(f.payload, a) && events_.alive) events_.alive(a);
      return;
    }
    case FrameType::strike:
      if (events_.strike) events_.strike(f.payload);
      return;
    case FrameType::kept_out: {
      std::vector<KeptOut> list;
      if (get_kept_out(f.payload, list) && engine_ != nullptr) engine_->kept_out(list);
      return;
    }
    case FrameType::admits:
      if (events_.admits)
        events_.admits(static_cast<std::uint32_t>(base::RecordReader(f.payload).varint()));
      return;
    case FrameType::skip:
      if (f.payload.size() == 8 && events_.skip)
        events_.skip(ForwardedWork::from_packed(base::get_le64(f.payload)));
      return;
    case FrameType::goodbye:
      if (events_.goodbye) events_.goodbye();
      return;
    case FrameType::turn:
      if (holding_) {
        held_.emplace_back(f.payload);
      } else if (engine_ != nullptr && !visit_edge_turn(f.payload, *this)) {
        lose();
      }
      return;
    case FrameType::drain:
      return events_.drain();
    case FrameType::stop:
      return events_.stop();
    case FrameType::ask:
      return on_ask(f.payload);
    case FrameType::scrape:
      return events_.scrape(base::RecordReader(f.payload).varint());
    default:
      return;
  }
}

// Before go() the engine does not know all routes, and after stop_input() another one does.
void EngineLink::on_ask(std::string_view payload) {
  std::uint64_t number = 0;
  Question q;
  if (!get_ask(payload, number, q)) return lose();
  const auto refuse = [&](AskError error) { send_answer(number, {error, {}}); };
  if (engine_ == nullptr || !going_) return refuse(AskError::not_serving);
  if (q.bytes.size() > kQuestionMax) return refuse(AskError::too_large);
  if (asked_ >= kQuestionsMax) return refuse(AskError::too_many);
  ++asked_;
  engine_->ask(std::move(q), [this, alive = std::weak_ptr<bool>(alive_), number](const Answer& a) {
    if (alive.expired() || lost_) return;
    --asked_;
    send_answer(number, a);
  });
}

void EngineLink::send_answer(std::uint64_t number, const Answer& a) {
  const bool fits = a.bytes.size() <= kAnswerMax;
  socket_.send(FrameType::answer, [&](std::string& out) {
    put_answer(out, number, fits ? a.error : AskError::too_large,
               fits ? std::string_view(a.bytes) : std::string_view());
  });
}

EngineLink::Conn* EngineLink::find(base::ConnId conn) {
  const std::uint32_t slot = conn.local_slot();
  if (slot >= conns_.size() || conns_[slot].id != conn) return nullptr;
  return &conns_[slot];
}

void EngineLink::on_attach(const Attach& a) {
  const std::uint32_t slot = a.conn.local_slot();
  if (lost_ || slot >= kSlotsMax || a.conn.link() != 0) return lose();
  if (slot >= conns_.size()) conns_.resize(slot + 1);
  Conn& c = conns_[slot];
  if (c.id != base::kNoConn) return lose();
  c = Conn{};
  c.id = a.conn.on_link(number_);
  c.epoch = a.attach_epoch;
  c.out_off = c.encoded_off = a.out_off;
  c.written = a.written;
  c.in_at = c.edge_in_ack = a.in_ack;
  Attach here = a;
  here.conn = c.id;
  engine_->attach(here);
}

void EngineLink::on_attached_all() {
  if (lost_ || holding_) return lose();
  holding_ = true;
  events_.attached_all();
}

void EngineLink::go() {
  holding_ = false;
  going_ = true;
  const std::vector<std::string> held = std::exchange(held_, {});
  for (const std::string& turn : held) {
    if (engine_ != nullptr && !visit_edge_turn(turn, *this)) return lose();
  }
  if (engine_ != nullptr) engine_->turn_end();
}

void EngineLink::on_input(base::ConnId conn, std::uint64_t offset, std::uint64_t in_ack,
                          std::string_view bytes) {
  conn = conn.on_link(number_);
  Conn* c = find(conn);
  if (c == nullptr || lost_) return;
  if (offset != c->in_at + c->kept.size()) return lose();
  c->edge_in_ack = in_ack;
  if (!c->kept.empty()) {
    c->kept.append(bytes);
    reoffer(conn);
  } else {
    const std::size_t used = engine_->input(conn, offset, in_ack, base::as_bytes(bytes));
    c = find(conn);
    if (c != nullptr) {
      c->in_at += used;
      c->kept.assign(bytes.substr(used));
    }
  }
  if (engine_ != nullptr && gathered_ > kTurnFull)
    engine_->turn_end();  // a frame is applied whole: keep it short
}

void EngineLink::reoffer(base::ConnId conn) {
  Conn* c = find(conn);
  if (c == nullptr || engine_ == nullptr) return;
  const std::size_t used = engine_->input(conn, c->in_at, c->edge_in_ack, base::as_bytes(c->kept));
  c = find(conn);
  if (c == nullptr || used == 0) return;
  c->in_at += used;
  if (used == c->kept.size()) {
    base::empty_out(c->kept);
  } else {
    base::drop_front(c->kept, used);
  }
}

void EngineLink::on_closed(base::ConnId conn, CloseReason reason) {
  if (lost_ || find(conn.on_link(number_)) == nullptr) return;
  engine_->closed(conn.on_link(number_), reason);
}

void EngineLink::on_credit(base::ConnId conn, std::uint64_t written) {
  conn = conn.on_link(number_);
  Conn* c = find(conn);
  if (c == nullptr || lost_) return;
  c->written = written;
  if (!c->waits || !writable(conn)) return;
  c->waits = false;
  engine_->credit(conn, written);
}

void EngineLink::on_expired(base::ConnId conn, std::uint64_t tag) {
  on_fate(conn, tag, Fate::dropped);
}

void EngineLink::on_fate(base::ConnId conn, std::uint64_t tag, Fate fate) {
  conn = conn.on_link(number_);
  if (!lost_ && find(conn) != nullptr) engine_->told(conn, tag, fate);
}

void EngineLink::on_pending(base::ConnId conn, std::uint64_t tag) {
  conn = conn.on_link(number_);
  if (!lost_ && find(conn) != nullptr) engine_->pending(conn, tag);
}

// -- EdgePort

EngineLink::Pending* EngineLink::step_of(base::ConnId conn) {
  Conn* c = find(conn);
  if (c == nullptr) return nullptr;
  if (c->step == 0) {
    if (step_count_ == steps_.size()) steps_.emplace_back();
    Pending& p = steps_[step_count_++];
    p.step = Step{};
    p.step.conn = conn;
    p.step.attach_epoch = c->epoch;
    p.step.out_off = c->encoded_off;
    p.bytes.clear();
    p.timed_end = 0;
    p.cookies.clear();
    c->step = static_cast<std::uint32_t>(step_count_);
  }
  return &steps_[c->step - 1];
}

void EngineLink::send(base::ConnId conn, std::string_view head, std::string_view tail) {
  Pending* p = step_of(conn);
  if (p == nullptr) return;
  p->bytes.append(head).append(tail);
  gathered_ += head.size() + tail.size();
  congested_ = congested_ || gathered_ > kUnsentMax;  // what no boundary of inputs divides
  conns_[conn.local_slot()].out_off += head.size() + tail.size();
}

void EngineLink::send_until(base::ConnId conn, std::string_view head, std::string_view tail,
                            const Deadline& d) {
  if (d.watch && !watches()) return;  // such an edge would write it whenever the socket takes it
  Pending* p = version_ >= kDeadlinesSince ? step_of(conn) : nullptr;
  if (p != nullptr && head.size() + tail.size() != 0) {
    const std::size_t at = p->bytes.size();
    p->step.has_parts = deadlines_ = true;
    p->step.has_commands = p->step.has_commands || d.watch;
    p->step.parts.push_back({at - p->timed_end, head.size() + tail.size(), d});
    p->timed_end = at + head.size() + tail.size();
  }
  send(conn, head, tail);
}

void EngineLink::told_taken(base::ConnId conn, std::uint64_t tag, Fate fate) {
  const std::uint32_t since = is_command(tag) ? kFatesSince : kDeadlinesSince;
  Pending* p = version_ >= since ? step_of(conn) : nullptr;
  if (p == nullptr) return;
  if (is_command(tag)) {
    p->step.has_commands = true;
    p->step.fates_taken.emplace_back(tag, fate);
  } else {
    p->step.has_parts = true;
    p->step.expired_taken.push_back(tag);
  }
}

void EngineLink::acknowledge(base::ConnId conn, std::uint64_t in_ack) {
  if (Pending* p = step_of(conn)) {
    p->step.has_in_ack = true;
    p->step.in_ack = in_ack;
  }
}

void EngineLink::cookie(base::ConnId conn, CookieSlot slot, std::string bytes) {
  if (Pending* p = step_of(conn)) p->cookies.emplace_back(slot, std::move(bytes));
}

void EngineLink::connected(base::ConnId conn, const EdgeSettings& settings) {
  if (Pending* p = step_of(conn)) {
    p->step.has_settings = true;
    p->step.has_principal = version_ >= kPrincipalsSince && settings.principal.is_set();
    p->step.settings = settings;
  }
}

void EngineLink::close(base::ConnId conn, CloseReason reason) {
  if (Pending* p = step_of(conn)) {
    p->step.has_close = true;
    p->step.reason = reason;
  }
}

void EngineLink::release(base::ConnId conn) {
  Pending* p = step_of(conn);
  if (p == nullptr) return;
  p->step.release = true;
  base::give_back(conns_[conn.local_slot()].kept);
  conns_[conn.local_slot()] = Conn{};  // the slot's next connection attaches anew, in a later turn
}

bool EngineLink::writable(base::ConnId conn) {
  Conn* c = find(conn);
  if (c == nullptr) return false;
  if (c->out_off - c->written < output_cap_ && !congested_) return true;
  c->waits = true;
  return false;
}

void EngineLink::encode_turn(std::string& out) {
  if (step_count_ == 0) return;
  const std::size_t at = begin_frame(out, FrameType::turn);
  for (std::size_t i = 0; i < step_count_; ++i) {
    Pending& p = steps_[i];
    p.step.bytes = p.bytes;
    p.step.cookies.assign(p.cookies.begin(), p.cookies.end());
    if (Conn* c = find(p.step.conn)) {
      c->step = 0;
      c->encoded_off += p.bytes.size();
    }
    p.step.conn = p.step.conn.local();
    put_step(out, p.step);
    if (p.bytes.capacity() > 65536) base::give_back(p.bytes);
  }
  end_frame(out, at);
  step_count_ = 0;
  gathered_ = 0;
  ++turns_;
  if (steps_.size() > 4096) steps_.resize(4096);
}

// The edge's idea of our clock is never behind by more than this word was under way
// (engine_clock.h).
void EngineLink::tell_clock(std::string& out) {
  if (version_ < kDeadlinesSince || accepts_ == nullptr) return;
  const std::int64_t now = base::monotonic_ns();
  const bool due = clock_told_ns_ == 0 || now - clock_told_ns_ >= kClockEvery_ns;
  if (!std::exchange(deadlines_, false) && !due) return;
  clock_told_ns_ = now;
  put_word_frame(out, FrameType::clock, static_cast<std::uint64_t>(accepts_->deadline_clock().ms));
}

void EngineLink::flush() {
  tell_clock(socket_.out());
  encode_turn(socket_.out());
  if (socket_.unsent() == 0) return;
  socket_.flush();
  congested_ = congested_ || socket_.unsent() > kUnsentMax;
  if (congested_ && all_sent()) resume_soon();  // else when the socket takes more
  if (!remote_ && all_sent()) on_accepted(turns_);
}

}  // namespace berth::gateway::link
