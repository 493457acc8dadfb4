// Publishers and subscribers of one process. A payload says who published it, its number, and when
// it was due: subscribers need nothing else to tell what is lost, doubled, out of order or late.
#pragma once

#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "bench/load/connections.h"
#include "bench/load/load.h"
#include "bench/load/schedule.h"
#include "bench/load/sequence.h"

namespace berth::bench {

// payload := publisher:4 number:4 due_ns:8, and padding
struct Payload {
  static constexpr std::size_t kBytes = 16;
  std::uint32_t publisher = 0;
  std::uint32_t number = 0;
  std::int64_t due_ns = 0;
};
std::string write_payload(const Payload& p, std::size_t size);
bool read_payload(std::string_view bytes, Payload& p);

class Traffic final : public Load {
 public:
  Traffic(const Plan& plan, Shared& shared, Share share);
  void prepare(Pool& pool, std::int64_t now_ns) override;
  std::int64_t connect(std::int64_t now_ns, bool& done) override;
  void begin(std::int64_t start_ns) override;
  std::int64_t act(std::int64_t now_ns) override;
  bool done() const override;
  void stop(std::int64_t now_ns) override;
  bool quiet() override;
  void count() override;
  bool complete() override;
  void finish() override;

 private:
  struct Flight {  // published, not acknowledged
    std::uint32_t number;
    std::int64_t due_ns;
  };
  struct Publisher {
    std::uint32_t number = 0;
    Client* client = nullptr;
    std::optional<Schedule> schedule;  // open loop
    std::vector<Flight> flights;
    std::uint32_t next = 0;
    std::uint32_t limit = UINT32_MAX;  // of numbers, where messages are counted
    std::uint64_t given_up = 0;        // copies that will not come, of arrivals that are waited for
    std::uint64_t arrived = 0;         // as seen last
    std::int64_t arrived_ns = 0;       // and when
    bool blocked = false;              // not in the queue of what is due
  };
  struct Subscriber {
    std::uint32_t number = 0;
    std::vector<Sequence> of;  // by first_[publisher] of this subscriber
  };
  struct Due {
    std::int64_t at_ns;
    std::uint32_t publisher;  // place in publishers_
    bool operator>(const Due& o) const { return at_ns > o.at_ns; }
  };
  void on_ready(Client& c) override;
  void on_message(Client& c, std::string_view payload) override;
  void on_settled(Client& c, std::uint32_t number) override;
  std::uint64_t under_way(Publisher& p, std::int64_t now_ns);
  bool may_publish(Publisher& p, std::int64_t now_ns);
  void publish(Publisher& p, std::int64_t due_ns);
  void say(Publisher& p, const Flight& f, bool again);
  void unblock(Publisher& p);
  std::int64_t act_open(std::int64_t now_ns);
  std::int64_t act_closed(std::int64_t now_ns);
  Publisher* publisher_of(const Client& c);
  Subscriber* subscriber_of(const Client& c);
  Sequence* sequence_of(Subscriber& s, std::uint32_t publisher);
  void count_missing();

  const Plan& plan_;
  Shared& shared_;
  Share share_;
  Counts& counts_;
  // The window of a closed loop counts messages that have not arrived; else messages that are not
  // acknowledged.
  bool by_arrival_;
  Pool* pool_ = nullptr;
  std::optional<Opening> opening_;
  std::vector<Subscriber> subscribers_;  // the first clients of the pool
  std::vector<Publisher> publishers_;    // the others
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
  std::uint64_t sent_ = 0;
  std::uint64_t sent_max_ = UINT64_MAX;
  std::int64_t look_ns_ = 0;  // when complete() looks again
  bool running_ = false;
  bool complete_ = false;
};

}  // namespace berth::bench
