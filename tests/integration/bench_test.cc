// `berth bench` against a gateway and against servers that are not good: what it says is true.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <thread>

#include "bench/load/mqtt_packets.h"
#include "tests/support/gateway_process.h"
#include "tests/support/wire.h"

namespace berth::test {
namespace {

// A broker of one topic: what it does wrong is said beforehand. One thread.
class BadBroker {
 public:
  struct Faults {
    int drops = -1;    // the message with this number, after its acknowledgement
    int doubles = -1;  // this one comes twice
    int swaps = -1;    // this one comes after the next
    int stalls = -1;   // before this one it does nothing for a while
    std::chrono::milliseconds stall{0};
  };
  explicit BadBroker(Faults faults) : faults_(faults) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    bind(listener_, reinterpret_cast<sockaddr*>(&at), size);
    listen(listener_, 64);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~BadBroker() {
    stop_ = true;
    thread_.join();
    for (const auto& [fd, in] : clients_) close(fd);
    close(listener_);
  }
  int port() const { return port_; }

 private:
  void serve() {
    while (!stop_) {
      std::vector<pollfd> all{{listener_, POLLIN, 0}};
      for (const auto& [fd, in] : clients_) all.push_back({fd, POLLIN, 0});
      poll(all.data(), all.size(), 20);
      if ((all[0].revents & POLLIN) != 0) clients_[accept(listener_, nullptr, nullptr)];
      for (std::size_t i = 1; i < all.size(); ++i) {
        if (all[i].revents != 0) read(all[i].fd);
      }
    }
  }
  void read(int fd) {
    char some[4096];
    const ssize_t n = recv(fd, some, sizeof some, MSG_DONTWAIT);
    if (n <= 0) {
      close(fd);
      clients_.erase(fd);
      if (subscriber_ == fd) subscriber_ = -1;
      return;
    }
    clients_[fd].append(some, static_cast<std::size_t>(n));
    for (const Packet& p : take_packets(clients_[fd])) on_packet(fd, p);
  }
  void on_packet(int fd, const Packet& p) {
    if (p.type == 1) say(fd, std::string("\x20\x02\x00\x00", 4));
    if (p.type == 8) {
      subscriber_ = fd;
      say(fd, std::string("\x90\x03", 2) + p.body.substr(0, 2) + '\x01');
    }
    if (p.type != 3) return;
    const std::size_t topic =
        static_cast<unsigned char>(p.body[0]) * 256u + static_cast<unsigned char>(p.body[1]);
    const int number = messages_++;
    if (number == faults_.stalls) poll(nullptr, 0, static_cast<int>(faults_.stall.count()));
    say(fd, std::string("\x40\x02", 2) + p.body.substr(2 + topic, 2));
    const std::string message = packet(0x32, p.body);
    if (number == faults_.drops) return;
    if (number == faults_.swaps) {
      held_ = message;
      return;
    }
    say(subscriber_, message);
    if (number == faults_.doubles) say(subscriber_, message);
    say(subscriber_, std::exchange(held_, {}));
  }
  static void say(int fd, const std::string& bytes) {
    if (fd >= 0 && !bytes.empty()) send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }

  Faults faults_;
  int listener_ = -1;
  int port_ = 0;
  int subscriber_ = -1;
  int messages_ = 0;
  std::string held_;
  std::map<int, std::string> clients_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

class Bench : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() / "berth-benched-XXXXXX";
    ASSERT_NE(mkdtemp(directory_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  // Its exit code; what it has said is in log_ and json_.
  int bench(const std::string& scenario, const std::string& target,
            std::vector<std::string> more = {}) {
    std::vector<std::string> argv{berth_binary(), "bench",   scenario, "--target", target,
                                  "--json",       file("j"), "--html", file("h"),  "--hdr",
                                  file("l"),      "--drain", "1"};
    argv.insert(argv.end(), more.begin(), more.end());
    Process p(argv, file("log"));
    const int code = p.wait(std::chrono::seconds(60));
    log_ = p.log();
    const std::string text = text_of("j");
    json_ = text.empty() ? boost::json::value() : boost::json::parse(text);
    return code;
  }
  int bench(const std::string& scenario, int port, std::vector<std::string> more = {}) {
    return bench(scenario, "mqtt://127.0.0.1:" + std::to_string(port), std::move(more));
  }
  std::string file(const std::string& name) const { return directory_ + "/" + name; }
  std::string text_of(const std::string& name) const {
    std::ifstream in(file(name));
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::int64_t number(const char* key) const { return json_.at(key).to_number<std::int64_t>(); }
  double ms(const char* what, const char* which) const {
    return json_.at(what).at(which).to_number<double>();
  }
  std::string directory_;
  std::string log_;
  boost::json::value json_;
};

TEST_F(Bench, AGatewayLosesNothing) {
  GatewayProcess g({"--anonymous"});
  ASSERT_EQ(bench("p2p-20-20-20-400", g.mqtt_port(),
                  {"--seconds", "2", "--processes", "2", "--sources", "127.0.0.2-127.0.0.3",
                   "--server-pid", std::to_string(g.process().pid())}),
            0)
      << log_;
  EXPECT_NEAR(static_cast<double>(number("sent")), 800, 40);
  EXPECT_EQ(number("received"), number("sent"));
  EXPECT_EQ(number("lost") + number("duplicates") + number("disordered") + number("cuts"), 0);
  EXPECT_EQ(number("connections"), 40);
  EXPECT_GT(json_.at("cpu_s").as_double(), 0);
  EXPECT_GT(ms("delivery_ms", "p50"), 0);
  EXPECT_NE(log_.find("LOST 0 of"), std::string::npos) << log_;
  EXPECT_NE(log_.find("/s out"), std::string::npos) << "a line each second";
  EXPECT_NE(text_of("h").find("<svg"), std::string::npos);
  EXPECT_NE(text_of("l").find(",HISTFAAAA"), std::string::npos);
}

TEST_F(Bench, EveryTransportAndPatternBearsALoad) {
  for (const std::string run :
       {"p2p-4-4-4-200-tls", "fanout-1-8-1-400", "fanin-8-2-8-200", "sharedsub-8-3-8-200",
        "p2p-4-4-4-200-durable", "conn-tcp-20-100", "churn-10-50", "storm-20", "sessions-10"}) {
    EXPECT_EQ(bench(run, "mqtt://", {"--server", berth_binary(), "--seconds", "2", "--quiet"}), 0)
        << run << "\n"
        << log_;
  }
  for (const std::string scheme : {"ws", "wss", "mqtts", "park"}) {
    EXPECT_EQ(bench("p2p-4-4-4-200", scheme + "://",
                    {"--server", berth_binary(), "--messages", "100", "--window", "5", "--quiet"}),
              0)
        << scheme << "\n"
        << log_;
    EXPECT_EQ(number("acked"), 100) << scheme;
  }
}

TEST_F(Bench, AnEngineThatIsKilledLosesNothingAndCutsNobody) {
  ASSERT_EQ(bench("p2p-20-kill", "mqtt://",
                  {"--server", berth_binary(), "--seconds", "16", "--rate", "200", "--quiet"}),
            0)
      << log_;
  EXPECT_EQ(json_.at("troubles_s").as_array().size(), 1u);
  EXPECT_EQ(number("cuts"), 0);
  EXPECT_EQ(number("lost"), 0);
}

TEST_F(Bench, ADroppedMessageIsFound) {
  BadBroker b({.drops = 50});
  EXPECT_EQ(bench("p2p-1-1-1-200", b.port(), {"--messages", "100", "--quiet"}), 1) << log_;
  EXPECT_EQ(number("lost"), 1);
  EXPECT_EQ(number("expected"), 100);
  EXPECT_NE(text_of("h").find("were lost"), std::string::npos);
}

TEST_F(Bench, WhatIsDoubledOrOutOfOrderIsCountedAndNotLost) {
  BadBroker b({.doubles = 20, .swaps = 60});
  EXPECT_EQ(bench("p2p-1-1-1-200", b.port(), {"--messages", "100", "--quiet"}), 0) << log_;
  EXPECT_EQ(number("duplicates"), 1);
  EXPECT_EQ(number("disordered"), 1);
  EXPECT_EQ(number("lost"), 0);
}

// The stall is seen by all that were due in it: 300 of 1,000 at this rate.
TEST_F(Bench, AStallCountsForAllThatWasDueMeanwhile) {
  BadBroker b({.stalls = 300, .stall = std::chrono::milliseconds(300)});
  EXPECT_EQ(bench("p2p-1-1-1-1K", b.port(), {"--messages", "1000", "--quiet"}), 0) << log_;
  EXPECT_GT(ms("delivery_ms", "p90"), 100);
  EXPECT_GT(ms("ack_ms", "p90"), 100);
  EXPECT_GE(ms("delivery_ms", "max"), 295);
}

TEST_F(Bench, WithoutAServerItSaysSo) {
  EXPECT_EQ(bench("p2p-2-2-2-10", 1, {"--connect-timeout", "0.2"}), 69) << log_;
  EXPECT_NE(log_.find("NOT ALL CONNECTED"), std::string::npos) << log_;
  EXPECT_EQ(bench("p2p-2-2", 1), 64);
  EXPECT_EQ(bench("idle-2", "ftp://127.0.0.1"), 64);
}

TEST_F(Bench, ASweepRisesUntilTheServerCantFollow) {
  // It answers nothing for longer than a step takes.
  BadBroker b({.stalls = 400, .stall = std::chrono::milliseconds(1500)});
  bench("p2p-1-1-1-200", b.port(), {"--sweep", "--seconds", "1", "--quiet"});
  const auto& steps = json_.at("steps").as_array();
  ASSERT_EQ(steps.size(), 2u) << log_;
  EXPECT_EQ(steps[1].at("offered_per_s").to_number<double>(), 300);
  EXPECT_NE(text_of("h").find("Latency against offered load"), std::string::npos);
}

}  // namespace
}  // namespace berth::test
