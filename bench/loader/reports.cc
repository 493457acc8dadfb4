#include "bench/loader/reports.h"

#include "base/clock.h"
#include "bench/loader/load_client.h"
#include "bench/loader/load_cost.h"
#include "protocol/messages/envelope.pb.h"
#include "protocol/park/device.h"

namespace berth::load {

namespace {

namespace park = protocol::park;

// Of a registered device: --tenant, with --password (MQTT) and --key (Park).
std::string text_arg(const char* name) {
  const auto it = g_args.find(name);
  return it == g_args.end() ? std::string() : it->second;
}
std::string user_of(const std::string& device) {
  const std::string tenant = text_arg("tenant");
  return tenant.empty() ? std::string() : device + "@" + tenant;
}

// As of a device whose clock is good.
std::string envelope(long number) {
  const std::int64_t now_ms = base::now().ms;
  v1::Envelope e;
  e.set_event_id("cam-1-" + std::to_string(100'000 + number));
  e.mutable_event_time()->set_seconds(now_ms / 1000);
  e.mutable_event_time()->set_nanos(static_cast<std::int32_t>(now_ms % 1000 * 1'000'000));
  e.mutable_plate()->set_lane("lane-1");
  e.mutable_plate()->mutable_plate()->set_number("粤B12345");
  e.mutable_plate()->set_confidence(98);
  return e.SerializeAsString();
}

// Reports until `done`, `window` of them under way.
class Device final : private park::DeviceHandler {
 public:
  Device(int epoll, int port, long index, long window, long& left, long& acked)
      : window_(window), left_(left), acked_(acked) {
    device_.opened();
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) std::exit(1);
    fcntl(fd_, F_SETFL, O_NONBLOCK);
    const int one = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    epoll_event ev{.events = EPOLLIN, .data = {.u64 = static_cast<std::uint64_t>(index)}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd_, &ev);
  }
  bool ready() const { return device_.ready(); }
  void begin() {
    for (long i = 0; i < window_; ++i) say();
    flush();
  }
  void on_event() {
    static std::uint8_t buffer[1 << 16];
    const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0 || !device_.receive({buffer, static_cast<std::size_t>(n)})) {
      std::fprintf(stderr, "a device was disconnected\n");
      std::exit(1);
    }
    for (; due_ != 0; --due_) say();
  }
  void flush() {
    std::string& out = device_.out();
    const ssize_t n = out.empty() ? 0 : ::send(fd_, out.data(), out.size(), MSG_NOSIGNAL);
    if (n > 0) out.erase(0, static_cast<std::size_t>(n));
  }

 private:
  void on_acked(std::uint64_t) override {
    ++acked_;
    ++due_;
  }
  void say() {
    if (left_ == 0) return;
    device_.report(park::FrameType::event, envelope(left_--));
  }
  static inline long made_ = 0;
  // As the MQTT clients: with a clean session.
  static park::Device::Options options() {
    const std::string id = "dev" + std::to_string(made_++);
    return {.client_id = id,
            .auth_id = user_of("key-" + id),
            .key = text_arg("key"),
            .session_expiry_s = 0};
  }
  park::Device device_{options(), *this};
  int fd_ = -1;
  long window_;
  long due_ = 0;
  long& left_;
  long& acked_;
};

double over_park(long devices, long window, long messages, int pid, double& wall) {
  const int epoll = epoll_create1(0);
  long left = messages, acked = 0;
  std::vector<std::unique_ptr<Device>> all;
  const int port = static_cast<int>(arg("park-port", 7700));
  for (long i = 0; i < devices; ++i)
    all.push_back(std::make_unique<Device>(epoll, port, i, window, left, acked));
  const auto turn = [&] {
    epoll_event events[512];
    const int n = epoll_wait(epoll, events, 512, 1000);
    for (int i = 0; i < n; ++i) all[events[i].data.u64]->on_event();
    for (int i = 0; i < n; ++i) all[events[i].data.u64]->flush();  // as Load does
  };
  while (std::any_of(all.begin(), all.end(), [](const auto& d) { return !d->ready(); })) turn();
  const double before = cpu_seconds(pid);
  const auto start = Clock::now();
  for (auto& d : all) d->begin();
  while (acked < messages) turn();
  wall = seconds_since(start);
  return cpu_seconds(pid) - before;
}

double over_mqtt(long devices, long window, long messages, int pid, double& wall) {
  Load load;
  for (long i = 0; i < devices; ++i) {
    const std::string id = "dev" + std::to_string(i);
    load.add(id, true, user_of(id), text_arg("password"));
  }
  load.all_ready();
  const bool registered = !text_arg("tenant").empty();
  long left = messages, acked = 0;
  const auto say = [&](Conn& c) {
    if (left == 0) return;
    c.next_id = c.next_id % 65535 + 1;
    const std::string topic =
        registered ? "v1/event/plate" : "v1/_/dev" + std::to_string(c.index) + "/event/plate";
    load.send(c, publish_packet(topic, 1, c.next_id, envelope(left--)));
  };
  const double before = cpu_seconds(pid);
  const auto start = Clock::now();
  for (auto& c : load.conns_) {
    for (long w = 0; w < window; ++w) say(*c);
  }
  while (acked < messages) {
    load.turn(1000, [&](Conn& c, unsigned h, const char*, std::size_t) {
      if (h >> 4 != 4) return;
      ++acked;
      say(c);
    });
  }
  wall = seconds_since(start);
  return cpu_seconds(pid) - before;
}

}  // namespace

int reports() {
  const long devices = arg("pubs", 100);
  const long window = arg("window", 10);
  const long messages = arg("messages", 200'000);
  const int pid = static_cast<int>(arg("pid", 0));
  const bool park = g_args.contains("park-port");
  double wall = 0;
  const double cpu = park ? over_park(devices, window, messages, pid, wall)
                          : over_mqtt(devices, window, messages, pid, wall);
  std::printf(
      "{\"scenario\":\"reports\",\"protocol\":\"%s\",\"messages\":%ld,\"wall_s\":%.3f,"
      "\"cpu_s_per_100k\":%.4f}\n",
      park ? "park" : "mqtt", messages, wall, cpu * 1e5 / static_cast<double>(messages));
  return 0;
}

}  // namespace berth::load
