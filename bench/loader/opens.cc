#include "bench/loader/opens.h"

#include <cstring>

#include "bench/loader/load_client.h"
#include "bench/loader/load_cost.h"

namespace berth::load {
namespace {

// One command, by the clock of this program: the gateway's share is `came` - `due` (a request that
// waits for a free connection counts from when it was due) and `arrived` - `answered`.
struct Command {
  Clock::time_point due;
  Clock::time_point came{};
  Clock::time_point answered{};
  Conn* device = nullptr;
};

class Opens {
 public:
  int run() {
    connect_all();
    const int pid = static_cast<int>(arg("pid", 0));
    const double cpu = pid != 0 ? cpu_seconds(pid) : 0;
    const auto start = Clock::now();
    const long total = arg("rate", 1000) * arg("seconds", 20);
    const double gap = 1.0 / static_cast<double>(arg("rate", 1000));
    long due = 0;
    while (over_ < total) {
      for (; due < total && seconds_since(start) >= gap * static_cast<double>(due); ++due) {
        waiting_.push_back(start +
                           std::chrono::duration_cast<Clock::duration>(
                               std::chrono::duration<double>(gap * static_cast<double>(due))));
      }
      begin();
      load_.turn(due < total ? 1 : 100, [this](Conn& c, unsigned h, const char* p, std::size_t n) {
        return c.raw ? on_answer(c, p, n) : on_packet(c, h, p);
      });
      if (seconds_since(start) > static_cast<double>(arg("seconds", 20)) + 30) break;
    }
    const double wall = seconds_since(start);
    std::printf(
        "{\"scenario\":\"opens\",\"commands\":%ld,\"per_s\":%.0f,\"succeeded\":%zu,\"refused\":%ld,"
        "\"no_answer\":%ld,\"connections\":%zu,\"cpu_s_per_100k\":%.2f%s}\n",
        total, static_cast<double>(over_) / wall, share_us_.size(), refused_, total - over_,
        load_.conns_.size(),
        pid != 0 ? (cpu_seconds(pid) - cpu) * 1e5 / static_cast<double>(total) : 0,
        percentiles(share_us_).c_str());
    return share_us_.size() == static_cast<std::size_t>(total) ? 0 : 1;
  }

 private:
  void connect_all() {
    const long idle = arg("idle", 10'000);
    for (long i = 0; i < idle; ++i) {
      load_.add("idle-" + std::to_string(i));
      if (i % 200 == 199) load_.all_ready();
    }
    load_.all_ready();
    for (long i = 0; i < arg("devices", 300); ++i) {
      const std::string name = "dev-" + std::to_string(i);
      free_devices_.push_back(&load_.add("opens-" + name, true, name + "@oracle", "secret"));
    }
    load_.all_ready();
    for (Conn* c : free_devices_) load_.subscribe(*c, "v1/cmd/#", 1);
    load_.all_ready();
    for (long i = 0; i < arg("links", 48); ++i) {
      Conn& c = load_.connected(static_cast<int>(arg("admin", 0)));
      c.raw = true;
      links_.push_back(&c);
    }
  }

  void begin() {
    while (!waiting_.empty() && !links_.empty() && !free_devices_.empty()) {
      Conn& link = *links_.front();
      links_.pop_front();
      Conn* device = free_devices_.front();
      free_devices_.pop_front();
      const auto number = commands_.size();
      commands_.push_back({.due = waiting_.front(), .device = device});
      waiting_.pop_front();
      link.next_id = static_cast<unsigned>(number);
      const std::string body = R"({"tenant":"oracle","device":"dev-)" + name_of(*device) +
                               R"(","id":"o)" + run_ + "-" + std::to_string(number) +
                               R"(","type":"open","ttl_ms":2000})";
      load_.send(
          link,
          "POST /api/v1/commands?wait=5000 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " +
              g_args["token"] + "\r\nContent-Type: application/json\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
    }
  }

  std::string name_of(const Conn& device) const {
    return std::to_string(device.index - static_cast<int>(arg("idle", 10'000)));
  }

  // A command for a device: v1/cmd/ID/…
  void on_packet(Conn& c, unsigned header, const char* body) {
    if (header >> 4 != 3) return;
    const auto length = static_cast<std::size_t>(static_cast<unsigned char>(body[0]) * 256 +
                                                 static_cast<unsigned char>(body[1]));
    const std::string topic(body + 2, length);
    take_publish(load_, c, header, body);
    const std::string id = topic.substr(7, topic.find('/', 7) - 7);
    const auto number = static_cast<std::size_t>(std::atol(id.c_str() + id.find('-') + 1));
    if (number >= commands_.size()) return;
    commands_[number].came = Clock::now();
    c.next_id = c.next_id % 65535 + 1;
    load_.send(c, publish_packet("v1/cmd/" + id + "/res", 1, c.next_id,
                                 R"({"outcome":"EXECUTED","code":"200"})"));
    commands_[number].answered = Clock::now();
    load_.flush();
  }

  void on_answer(Conn& link, const char* bytes, std::size_t size) {
    link.in.append(bytes, size);
    const std::size_t head = link.in.find("\r\n\r\n");
    if (head == std::string::npos) return;
    const std::size_t at = link.in.find("Content-Length: ");
    if (at > head ||
        link.in.size() < head + 4 + static_cast<std::size_t>(std::atol(link.in.c_str() + at + 16)))
      return;
    const Command& command = commands_[link.next_id];
    if (link.in.find(R"("outcome":"SUCCEEDED")") != std::string::npos) {
      const auto share = command.came - command.due + (Clock::now() - command.answered);
      share_us_.push_back(std::chrono::duration<double, std::micro>(share).count());
    } else if (refused_++ == 0) {
      std::fprintf(stderr, "%s\n", link.in.c_str());
    }
    ++over_;
    link.in.clear();
    links_.push_back(&link);
    free_devices_.push_back(command.device);
  }

  Load load_;
  std::string run_ = std::to_string(getpid());
  std::deque<Conn*> links_;
  std::deque<Conn*> free_devices_;
  std::deque<Clock::time_point> waiting_;
  std::vector<Command> commands_;
  std::vector<double> share_us_;
  long over_ = 0;
  long refused_ = 0;
};

}  // namespace

int opens() {
  return Opens().run();
}

}  // namespace berth::load
