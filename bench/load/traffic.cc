#include "bench/load/traffic.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "bench/load/envelope.h"

namespace berth::bench {

namespace {
constexpr int kAtOnce = 256;  // messages before bytes are moved again
// After so long without an arrival what is under way counts as lost, so that a loop goes on.
constexpr std::int64_t kGiveUp_ns = 2'000'000'000;
}  // namespace

std::string write_payload(const Payload& p, std::size_t size) {
  std::string out(std::max(size, Payload::kBytes), 'x');
  std::memcpy(out.data(), &p.publisher, 4);
  std::memcpy(out.data() + 4, &p.number, 4);
  std::memcpy(out.data() + 8, &p.due_ns, 8);
  return out;
}

bool read_payload(std::string_view bytes, Payload& p) {
  if (bytes.size() < Payload::kBytes) return false;
  std::memcpy(&p.publisher, bytes.data(), 4);
  std::memcpy(&p.number, bytes.data() + 4, 4);
  std::memcpy(&p.due_ns, bytes.data() + 8, 8);
  return true;
}

Traffic::Traffic(const Plan& plan, Shared& shared, Share share)
    : plan_(plan),
      shared_(shared),
      share_(share),
      counts_(shared.counts(share.process)),
      by_arrival_(plan.scenario.subscribers != 0 && !plan.scenario.offline &&
                  (plan.scenario.qos == 0 || plan.scenario.pattern == Pattern::fanout)) {}

void Traffic::prepare(Pool& pool, std::int64_t now_ns) {
  pool_ = &pool;
  const Scenario& s = plan_.scenario;
  const std::string root = "bench/" + plan_.run;
  // A group is one subscriber to the books: all of it is in one process.
  const bool group = s.pattern == Pattern::sharedsub;
  const Share share = group ? Share{} : share_;
  const bool mine = !group || share_.process == 0;
  for (std::uint32_t i = 0; mine && i < share.of(s.subscribers); ++i) {
    const std::uint32_t number = share.number(i);
    Role role = role_of(plan_, "s", number);
    role.filter = filter_of(s, root, number);
    pool.add(talk_of(plan_, std::move(role)), s.durable);
    subscribers_.push_back({.number = number, .of = {}});
  }
  for (std::uint32_t i = 0; i < share_.of(s.publishers); ++i) {
    const std::uint32_t number = share_.number(i);
    Role role = role_of(plan_, "p", number);
    // A device that logs in is known without its name in the topic.
    role.topic = s.reports && !plan_.user.empty() ? "v1/event/plate" : topic_of(s, root, number);
    publishers_.push_back(
        {.number = number, .client = &pool.add(talk_of(plan_, std::move(role)), s.durable)});
    Publisher& p = publishers_.back();
    if (plan_.messages != 0) {
      p.limit = static_cast<std::uint32_t>(plan_.messages / s.publishers +
                                           (number < plan_.messages % s.publishers ? 1 : 0));
    }
  }
  opening_.emplace(0, now_ns);
}

std::int64_t Traffic::connect(std::int64_t now_ns, bool& done) {
  return opening_->go_on(*pool_, now_ns, done);
}

void Traffic::begin(std::int64_t start_ns) {
  running_ = true;
  const Scenario& s = plan_.scenario;
  if (s.offline) {
    for (std::size_t i = 0; i < subscribers_.size(); ++i) pool_->close(*pool_->clients()[i]);
  }
  for (std::uint32_t i = 0; i < publishers_.size(); ++i) {
    Publisher& p = publishers_[i];
    p.arrived_ns = start_ns;
    if (!plan_.open_loop()) continue;
    p.schedule.emplace(start_ns, s.rate / s.publishers,
                       static_cast<double>(p.number) / s.publishers);
    due_.push({p.schedule->due_ns(), i});
  }
}

Traffic::Publisher* Traffic::publisher_of(const Client& c) {
  return c.index() < subscribers_.size() ? nullptr : &publishers_[c.index() - subscribers_.size()];
}

Traffic::Subscriber* Traffic::subscriber_of(const Client& c) {
  if (c.index() >= subscribers_.size()) return nullptr;
  // A group's books are its first one's.
  return &subscribers_[plan_.scenario.pattern == Pattern::sharedsub ? 0 : c.index()];
}

// Where more than one publisher can come by, their places are those of their numbers.
Sequence* Traffic::sequence_of(Subscriber& s, std::uint32_t publisher) {
  const Scenario& shape = plan_.scenario;
  if (publisher >= shape.publishers || !is_for(shape, publisher, s.number)) return nullptr;
  const std::size_t place = shape.pattern == Pattern::p2p     ? 0
                            : shape.pattern == Pattern::fanin ? publisher / shape.subscribers
                                                              : publisher;
  if (place >= s.of.size()) s.of.resize(place + 1);
  return &s.of[place];
}

void Traffic::on_ready(Client& c) {
  Publisher* const p = publisher_of(c);
  if (p == nullptr) return;
  if (!p->client->talk().repeats()) {
    for (const Flight& f : p->flights) say(*p, f, true);
  }
  unblock(*p);
}

void Traffic::on_message(Client& c, std::string_view payload) {
  Payload m;
  Subscriber* const s = subscriber_of(c);
  Sequence* const sequence =
      s == nullptr || !read_payload(payload, m) ? nullptr : sequence_of(*s, m.publisher);
  if (sequence == nullptr) return bench::add(counts_.foreign);
  const std::int64_t now = base::monotonic_ns();
  counts_.last_ns.store(now, std::memory_order_relaxed);
  const auto seen = sequence->see(m.number);
  if (seen == Sequence::Seen::again) return bench::add(counts_.duplicates);
  bench::add(counts_.received);
  counts_.delivery.record(now - m.due_ns);
  // A shared subscription promises no order.
  if (seen == Sequence::Seen::late && plan_.scenario.pattern != Pattern::sharedsub)
    bench::add(counts_.disordered);
  if (by_arrival_) shared_.publisher(m.publisher).arrived.fetch_add(1, std::memory_order_relaxed);
}

void Traffic::on_settled(Client& c, std::uint32_t number) {
  Publisher* const p = publisher_of(c);
  if (p == nullptr) return;
  const auto at = std::find_if(p->flights.begin(), p->flights.end(),
                               [number](const Flight& f) { return f.number == number; });
  if (at == p->flights.end()) return;
  const std::int64_t now = base::monotonic_ns();
  counts_.acknowledgement.record(now - at->due_ns);
  counts_.last_ns.store(now, std::memory_order_relaxed);
  bench::add(counts_.acked);
  p->flights.erase(at);
  if (plan_.open_loop()) return unblock(*p);
  while (!by_arrival_ && running_ && may_publish(*p, now)) publish(*p, now);
}

void Traffic::unblock(Publisher& p) {
  if (!p.blocked || !running_) return;
  p.blocked = false;
  due_.push({p.schedule->due_ns(), static_cast<std::uint32_t>(&p - publishers_.data())});
}

std::uint64_t Traffic::under_way(Publisher& p, std::int64_t now_ns) {
  if (plan_.open_loop() || !by_arrival_) return p.flights.size();
  const std::uint64_t copies = plan_.scenario.copies();
  const std::uint64_t arrived = shared_.publisher(p.number).arrived.load(std::memory_order_relaxed);
  if (arrived != p.arrived) {
    p.arrived = arrived;
    p.arrived_ns = now_ns;
  }
  const std::uint64_t due = p.next * copies;
  const std::uint64_t over = arrived + p.given_up;
  if (over < due && now_ns - p.arrived_ns > kGiveUp_ns) {
    p.given_up += due - over;
    p.arrived_ns = now_ns;
    return 0;
  }
  return over >= due ? 0 : (due - over + copies - 1) / copies;
}

bool Traffic::may_publish(Publisher& p, std::int64_t now_ns) {
  const std::uint32_t room = plan_.open_loop() ? plan_.under_way : plan_.window;
  return p.client->ready() && p.next < p.limit && p.flights.size() < room &&
         under_way(p, now_ns) < room;
}

void Traffic::say(Publisher& p, const Flight& f, bool again) {
  const std::string payload = write_payload({p.number, f.number, f.due_ns}, plan_.scenario.payload);
  p.client->talk().publish(f.number, plan_.scenario.reports ? plate_report(payload) : payload,
                           again);
  pool_->say(*p.client);
}

void Traffic::publish(Publisher& p, std::int64_t due_ns) {
  const Flight f{p.next++, due_ns};
  say(p, f, false);
  if (plan_.scenario.qos != 0 || plan_.target.park) p.flights.push_back(f);
  shared_.publisher(p.number).said.store(p.next, std::memory_order_relaxed);
  bench::add(counts_.sent);
}

std::int64_t Traffic::act_open(std::int64_t now_ns) {
  for (int n = 0; !due_.empty() && due_.top().at_ns <= now_ns; ++n) {
    if (n == kAtOnce) return now_ns;
    Publisher& p = publishers_[due_.top().publisher];
    const Due due = due_.top();
    due_.pop();
    if (!may_publish(p, now_ns)) {
      p.blocked = true;
      continue;
    }
    publish(p, due.at_ns);
    p.schedule->said();
    if (p.next < p.limit) due_.push({p.schedule->due_ns(), due.publisher});
  }
  return due_.empty() ? INT64_MAX : due_.top().at_ns;
}

// What acknowledgements let through is published as they come; here is the rest.
std::int64_t Traffic::act_closed(std::int64_t now_ns) {
  for (Publisher& p : publishers_) {
    while (may_publish(p, now_ns)) publish(p, now_ns);
  }
  // A message that arrives at another process does not wake this one.
  const bool elsewhere = by_arrival_ && plan_.processes > 1;
  return now_ns + (elsewhere ? 100'000 : 10 * base::kMs);
}

std::int64_t Traffic::act(std::int64_t now_ns) {
  return plan_.open_loop() ? act_open(now_ns) : act_closed(now_ns);
}

bool Traffic::done() const {
  if (plan_.messages == 0) return false;
  return std::all_of(publishers_.begin(), publishers_.end(),
                     [](const Publisher& p) { return p.next >= p.limit && p.flights.empty(); });
}

void Traffic::stop(std::int64_t now_ns) {
  running_ = false;
  for (const Publisher& p : publishers_) {
    if (p.schedule && p.limit == UINT32_MAX) bench::add(counts_.unsent, p.schedule->behind(now_ns));
    if (p.limit != UINT32_MAX) bench::add(counts_.unsent, p.limit - p.next);
  }
}

bool Traffic::quiet() {
  return std::all_of(publishers_.begin(), publishers_.end(),
                     [](const Publisher& p) { return p.flights.empty(); });
}

// Subscribers that were away come for what is theirs.
void Traffic::count() {
  for (const Publisher& p : publishers_) {
    std::uint32_t settled = p.next;
    for (const Flight& f : p.flights) settled = std::min(settled, f.number);
    shared_.publisher(p.number).settled = settled;
    bench::add(counts_.unacknowledged, p.flights.size());
  }
  shared_.add_settled();
  for (std::size_t i = 0; i < subscribers_.size(); ++i)
    pool_->open(*pool_->clients()[i], base::monotonic_ns());
}

void Traffic::count_missing() {
  std::uint64_t expected = 0, lost = 0;
  const Scenario& shape = plan_.scenario;
  const bool pairs = shape.pattern == Pattern::p2p;
  const bool spread = shape.pattern == Pattern::fanin;
  for (Subscriber& s : subscribers_) {
    if (shape.pattern == Pattern::sharedsub && &s != subscribers_.data()) break;
    const std::uint32_t step = pairs ? shape.publishers : spread ? shape.subscribers : 1;
    for (std::uint32_t p = pairs || spread ? s.number : 0; p < shape.publishers; p += step) {
      const std::uint32_t settled = shared_.publisher(p).settled;
      expected += settled;
      lost += sequence_of(s, p)->missing(settled);
    }
  }
  counts_.expected = expected;
  counts_.lost = lost;
}

bool Traffic::complete() {
  const std::int64_t now = base::monotonic_ns();
  if (complete_ || now < look_ns_ || shared_.settled() < shared_.processes()) return complete_;
  look_ns_ = now + 20 * base::kMs;
  count_missing();
  return complete_ = counts_.lost == 0;
}

void Traffic::finish() {
  count_missing();
}

}  // namespace berth::bench
