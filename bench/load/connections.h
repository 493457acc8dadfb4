// Loads that publish nothing: connections that are held (and cut all at once), and connections that
// come and go.
#pragma once

#include <optional>

#include "bench/load/load.h"
#include "bench/load/schedule.h"

namespace berth::bench {

// Opens all of its clients: at a rate, or as fast as it goes.
class Opening {
 public:
  Opening(double per_s, std::int64_t now_ns);
  // The next call is due then; true in `done` when all are ready.
  std::int64_t go_on(Pool& pool, std::int64_t now_ns, bool& done);

 private:
  std::optional<Schedule> schedule_;
  std::size_t opened_ = 0;
  bool done_ = false;
};

class Connections final : public Load {
 public:
  Connections(const Plan& plan, Share share) : plan_(plan), share_(share) {}
  void prepare(Pool& pool, std::int64_t now_ns) override;
  std::int64_t connect(std::int64_t now_ns, bool& done) override;
  void begin(std::int64_t start_ns) override;
  std::int64_t act(std::int64_t now_ns) override;
  bool done() const override;
  void stop(std::int64_t /*now_ns*/) override {}

 private:
  const Plan& plan_;
  Share share_;
  Pool* pool_ = nullptr;
  std::optional<Opening> opening_;
  bool cut_ = false;  // of a storm: some are away, or were
};

class Churn final : public Load {
 public:
  Churn(const Plan& plan, Share share) : plan_(plan), share_(share) {}
  void prepare(Pool& pool, std::int64_t now_ns) override;
  std::int64_t connect(std::int64_t now_ns, bool& done) override;
  void begin(std::int64_t start_ns) override;
  std::int64_t act(std::int64_t now_ns) override;
  void stop(std::int64_t /*now_ns*/) override {}

 private:
  const Plan& plan_;
  Share share_;
  Pool* pool_ = nullptr;
  std::optional<Opening> opening_;
  std::optional<Schedule> schedule_;
  std::size_t next_ = 0;
};

}  // namespace berth::bench
