// A log-in of a registered device that has been here before, among 100,000: what it adds to a
// CONNECT.
#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <vector>

#include "bench/micro/iterations.h"
#include "gateway/engine/authenticator.h"
#include "gateway/registry/import.h"

namespace berth::gateway {
namespace {

constexpr int kDevices = 100'000;

registry::Changes all_devices() {
  std::string csv = "tenant,site,product,device,auth_id,password\n";
  for (int i = 0; i < kDevices; ++i) {
    const std::string n = std::to_string(i);
    csv += "acme,north,camera,device-" + n + ",device-" + n + ",secret\n";
  }
  auto said = registry::parse_yaml(
      "tenants: [{name: acme, sites: [{name: north}], products: [{name: camera, topics: "
      "['device/%d/#']}]}]");
  for (auto& s : registry::parse_csv(csv)) said.push_back(std::move(s));
  registry::Changes c{.whole = true, .list = {}};
  const auto nothing = [](std::string_view) -> const std::string* { return nullptr; };
  for (auto& w : registry::to_writes(std::move(said), nothing, 1))
    c.list.push_back({std::move(w.key), std::move(w.value)});
  return c;
}

// Answers arrive on the authenticator's thread: whoever waits for them holds the mutex.
void cached_login(benchmark::State& state) {
  registry::Registry registry("");
  registry.apply(all_devices());
  std::mutex mutex;
  std::condition_variable came;
  std::deque<std::function<void()>> posted;
  engine::Authenticator auth({.throttle = {.per_address = 0, .per_name = 0}, .registry = &registry},
                             [&](std::function<void()> f) {
                               const std::lock_guard lock(mutex);
                               posted.push_back(std::move(f));
                               came.notify_one();
                             });
  std::mt19937 random(1);
  std::vector<session::AuthRequest> requests;
  for (int i = 0; i < 1000; ++i) {
    requests.push_back({.has_user_name = true,
                        .user_name = "device-" + std::to_string(random() % kDevices) + "@acme",
                        .password = "secret",
                        .client_id = "c"});
  }
  int good = 0;
  const auto count = [&good](session::AuthResult r) { good += r.scope ? 1 : 0; };
  for (const auto& r : requests) auth.check(r, count);
  while (good < 1000) {
    std::unique_lock lock(mutex);
    came.wait(lock, [&] { return !posted.empty(); });
    const auto f = std::move(posted.front());
    posted.pop_front();
    lock.unlock();
    f();
  }
  std::size_t at = 0;
  for (auto _ : state) auth.check(requests[at++ % requests.size()], count);
  if (static_cast<std::size_t>(good) != 1000 + at) state.SkipWithError("a log-in was not cached");
}
BENCHMARK(cached_login)->Apply(bench::counted);

}  // namespace
}  // namespace berth::gateway
