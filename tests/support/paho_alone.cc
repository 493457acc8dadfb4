// What Eclipse Paho does by itself: clients that publish to a broker with QoS 1 and MQTT 5, as many
// unacknowledged as an uplink has. What an uplink over MQTT is measured by (bench/uplinks.py).
//
//   berth-paho PORT MESSAGES CONNECTIONS
//
// Prints {"connections":N,"per_s":N}.
#include <mqtt/async_client.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

constexpr int kWindow = 500;  // of an uplink
constexpr int kDevices = 50;
constexpr int kInflight = 4000;
constexpr auto kDeadline = std::chrono::minutes(10);

class Client final : private mqtt::iaction_listener {
 public:
  Client(const std::string& uri, int n)
      : client_(uri, "alone-" + std::to_string(n), mqtt::create_options(MQTTVERSION_5, kInflight),
                nullptr) {
    mqtt::connect_options o;
    o.set_mqtt_version(MQTTVERSION_5);
    o.set_clean_start(true);
    o.set_max_inflight(kInflight);
    client_.connect(o)->wait();
  }
  void publish_all(int messages) {
    const std::string payload(16, 'x');
    const auto end = std::chrono::steady_clock::now() + kDeadline;
    for (int i = 0; i <= messages; ++i) {
      std::unique_lock lock(mutex_);
      const int most = i == messages ? 0 : kWindow - 1;  // at last all of them
      if (!changed_.wait_until(lock, end, [&] { return unacknowledged_ <= most; })) std::exit(1);
      if (i == messages) return;
      ++unacknowledged_;
      lock.unlock();
      client_.publish(message(i, payload), nullptr, *this);
    }
  }

 private:
  // As an uplink's: with a berth-id, of some devices.
  static mqtt::message_ptr message(int i, const std::string& payload) {
    auto m = mqtt::make_message("alone/" + std::to_string(i % kDevices), payload, 1, false);
    mqtt::properties p;
    p.add({mqtt::property::USER_PROPERTY, "berth-id", "0-1-" + std::to_string(i)});
    m->set_properties(std::move(p));
    return m;
  }
  void on_success(const mqtt::token&) override {
    {
      const std::lock_guard lock(mutex_);
      --unacknowledged_;
    }
    changed_.notify_one();
  }
  void on_failure(const mqtt::token&) override { std::exit(1); }

  std::mutex mutex_;
  std::condition_variable changed_;
  int unacknowledged_ = 0;
  mqtt::async_client client_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 64;
  const std::string uri = std::string("tcp://127.0.0.1:") + argv[1];
  const int messages = std::atoi(argv[2]), connections = std::atoi(argv[3]);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < connections; ++i) clients.push_back(std::make_unique<Client>(uri, i));
  const auto begun = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  for (const auto& c : clients)
    threads.emplace_back([&c, n = messages / connections] { c->publish_all(n); });
  for (std::thread& t : threads) t.join();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  std::printf("{\"connections\":%d,\"per_s\":%.0f}\n", connections, messages / took.count());
}
