#include "gateway/ctl/support_bundle.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>
#include <vector>

#include "gateway/admin/token_file.h"
#include "gateway/ctl/archive.h"
#include "gateway/ctl/asking.h"
#include "gateway/ctl/redaction.h"
#include "gateway/ctl/words.h"

namespace berth::gateway {

namespace json = boost::json;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kAnswerMax = std::uint64_t{16} << 20;
constexpr std::size_t kAllMax = std::size_t{64} << 20;
constexpr int kUnansweredMax = 2;           // then the gateway is not asked any more
constexpr std::size_t kSitesMax = 20;       // whose history is asked for
constexpr std::size_t kEnginesMax = 8;      // of one gateway: the serving one, standbys
constexpr std::uint32_t kCheckMax_s = 5;    // of disk, of Redis
constexpr std::size_t kFileMax = 64 << 10;  // of /proc

enum class Kind : std::uint8_t { text, json, devices, refused };
struct Part {
  const char* name;
  const char* target;
  Kind kind;
};
constexpr std::array<Part, 15> kParts{
    {{"readyz.txt", "/readyz", Kind::text},
     {"livez.txt", "/livez", Kind::text},
     {"startupz.txt", "/startupz", Kind::text},
     {"all-metrics.txt", "/metrics", Kind::text},
     {"config.json", "/api/v1/config", Kind::json},
     {"quarantine.json", "/api/v1/quarantine", Kind::devices},
     {"record-counts.json", "/api/v1/registry", Kind::json},
     {"usage.json", "/api/v1/usage?by=connections&limit=50", Kind::json},
     {"insights-flapping.json", "/api/v1/insights/flapping?limit=50", Kind::devices},
     {"insights-refused.json", "/api/v1/insights/refused?limit=50", Kind::refused},
     {"insights-slow.json", "/api/v1/insights/slow?limit=50", Kind::devices},
     {"insights-traffic.json", "/api/v1/insights/traffic?limit=50", Kind::devices},
     {"insights-shared-ids.json", "/api/v1/insights/shared-ids?limit=50", Kind::devices},
     {"insights-connections.json", "/api/v1/insights/connections?limit=50", Kind::devices},
     {"insights-ends.json", "/api/v1/insights/ends?limit=200", Kind::devices}}};

constexpr const char* kEvents = "events.json";
constexpr const char* kNever =
    "Never in a bundle: passwords, tokens, keys, records of the registry, payloads of messages "
    "and\n"
    "commands, ids and reasons of commands, display names, the log, files of the configuration.\n"
    "Number plates of China are replaced wherever they stand. Look through the files before you\n"
    "send them: names of devices, clients, sites and tenants are what your people have chosen.\n";

std::string text_of_time(const char* format, std::int64_t s) {
  const std::time_t at = s;
  std::tm t{};
  ::gmtime_r(&at, &t);
  std::array<char, 40> out{};
  std::strftime(out.data(), out.size(), format, &t);
  return out.data();
}

std::string beginning_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string out(kFileMax, '\0');
  in.read(out.data(), static_cast<std::streamsize>(out.size()));
  out.resize(static_cast<std::size_t>(std::max<std::streamsize>(in.gcount(), 0)));
  return out;
}

std::string one_line(std::string s) {
  while (!s.empty() && s.back() == '\n') s.pop_back();
  std::replace(s.begin(), s.end(), '\n', ' ');
  return s;
}

class Bundle {
 public:
  Bundle(const Ctl& admin, bool anonymous, std::int64_t now_s)
      : admin_(admin), redaction_(anonymous, known_secrets(admin)), archive_(now_s) {}

  // The first question: nothing, if it is not answered well.
  bool begin(admin::Response& refused) {
    const admin::Response r = ask(admin_, asking("/api/v1/status"));
    if (r.status != 200) {
      refused = r;
      return false;
    }
    status_ = object_of(r.body);
    add("status.json", json::serialize(redaction_.json(status_)) + "\n");
    return true;
  }

  void gather() {
    for (const Part& p : kParts) add_part(p);
    add_events();
    add("kernel.txt", redaction_.text(kernel()));
    add_process("process", number_in(status_, "pid"));
    std::size_t n = 0;
    for (const json::value& v : list_in(status_, "engines")) {
      if (!v.is_object() || n == kEnginesMax) break;
      add_process("engine-" + std::to_string(++n), number_in(v.get_object(), "pid"));
    }
  }

  // Of this host: only beside the gateway. In its directory, as its settings may name files from
  // there.
  void add_check(const SupportBundleVerb::HostLook& host, std::uint32_t limit_s) {
    constexpr const char* kName = "check.txt";
    const std::int64_t pid = number_in(status_, "pid");
    if (!is_here(pid)) return leave_out(kName, not_here(pid));
    if (settings_.empty()) return leave_out(kName, "the gateway does not show its settings");
    std::error_code ec;
    const fs::path ours = fs::current_path(ec);
    if (!ec) fs::current_path("/proc/" + std::to_string(pid) + "/cwd", ec);
    const std::string text = host(text_in(status_, "shape"), settings_, limit_s);
    std::error_code back;
    if (!ec) fs::current_path(ours, back);
    add(kName, redaction_.text(text));
  }

  // The last file.
  std::string finished(const std::string& head) {
    std::string text = head + "\nContents\n" + contents_ + "\nLeft out\n" +
                       (left_out_.empty() ? "  nothing that was looked for\n" : "");
    for (const json::value& v : left_out_) text += "  " + text_of(v) + "\n";
    const std::string shape = text_in(status_, "shape");
    if (shape == "edge" || shape == "engine")
      text += "\nThis is one " + shape +
              " of a cluster: support needs a bundle of each edge and each engine.\n";
    text += "\n" + std::to_string(redaction_.replaced()) + " values were replaced.\n" + kNever;
    archive_.add("manifest.txt", redaction_.text(text));
    return archive_.gzipped();
  }
  const json::array& left_out() const { return left_out_; }
  const json::array& names() const { return names_; }

 private:
  static std::vector<std::string> known_secrets(const Ctl& admin) {
    if (admin.token_file.empty()) return {};
    return {admin::TokenFile::read(admin.token_file).current()};
  }
  static admin::Ask asking(const std::string& target) {
    admin::Ask a;
    a.target = target;
    a.answer_max = kAnswerMax;
    return a;
  }

  void add(const std::string& name, const std::string& content) {
    if (size_ + content.size() > kAllMax)
      return leave_out(name, "the bundle would be larger than 64 MiB");
    size_ += content.size();
    archive_.add(name, content);
    names_.emplace_back(name);
    contents_ += "  " + name + ", " + std::to_string(content.size()) + " bytes\n";
  }
  void leave_out(const std::string& name, const std::string& why) {
    left_out_.emplace_back(name + ": " + one_line(redaction_.text(why)));
  }

  // Nothing: it is left out, and why is noted under this name.
  std::optional<admin::Response> answer(const std::string& name, const std::string& target) {
    if (unanswered_ >= kUnansweredMax) {
      leave_out(name, "the gateway does not answer any more");
      return std::nullopt;
    }
    try {
      admin::Response r = ask(admin_, asking(target));
      const bool probe = r.status == 503 && !target.starts_with("/api/");
      if (r.status == 200 || probe) return r;
      leave_out(name, "HTTP " + std::to_string(r.status) + ": " + shown(r));
    } catch (const std::runtime_error& e) {
      ++unanswered_;
      leave_out(name, e.what());
    }
    return std::nullopt;
  }

  void add_part(const Part& p) {
    const auto r = answer(p.name, p.target);
    if (!r) return;
    if (p.kind == Kind::text) {
      const bool probe = std::string(p.target) != "/metrics";
      return add(p.name, (probe ? "HTTP " + std::to_string(r->status) + "\n" : "") +
                             redaction_.text(r->body));
    }
    json::error_code ec;
    const json::value v = json::parse(r->body, ec);
    if (ec) return leave_out(p.name, "the answer is no JSON");
    if (std::string(p.name) == "config.json") keep_settings(object_of(r->body));
    const json::value clean = p.kind == Kind::json      ? redaction_.json(v)
                              : p.kind == Kind::devices ? redaction_.json_of_devices(v)
                                                        : redaction_.json_of_refused(v);
    add(p.name, json::serialize(clean) + "\n");
  }

  void keep_settings(const json::object& config) {
    for (const auto& [key, value] : object_in(config, "settings")) {
      if (value.is_string()) settings_[key] = std::string(value.get_string());
    }
  }

  // Nothing: the question was not answered.
  std::optional<std::vector<std::string>> names_in(const std::string& name,
                                                   const std::string& target) {
    std::vector<std::string> names;
    const auto r = answer(name, target);
    if (!r) return std::nullopt;
    for (const json::value& v : list_in(object_of(r->body), "items")) {
      if (v.is_object()) names.push_back(text_in(v.get_object(), "name"));
    }
    return names;
  }

  // What happened last at some sites: types and causes.
  void add_events() {
    json::array all;
    std::size_t sites = 0;
    const std::string most = std::to_string(kSitesMax);
    const auto tenants = names_in(kEvents, "/api/v1/tenants?limit=" + most);
    if (!tenants) return;  // said in the list of what was left out
    for (const std::string& tenant : *tenants) {
      if (sites >= kSitesMax || unanswered_ >= kUnansweredMax) break;
      const auto of_tenant =
          names_in(std::string(kEvents) + " of tenant " + tenant,
                   "/api/v1/tenants/" + encoded(tenant) + "/sites?limit=" + most);
      if (!of_tenant) continue;
      for (const std::string& site : *of_tenant) {
        if (sites++ >= kSitesMax || !add_events_of(tenant, site, all)) break;
      }
    }
    add(kEvents, json::serialize(json::object{{"items", std::move(all)}}) + "\n");
    if (sites >= kSitesMax)
      leave_out(kEvents, "the events of further sites; it has those of " + most);
  }

  // False: the question was not answered. Such a part is left out under a name of its own: the file
  // has the others.
  bool add_events_of(const std::string& tenant, const std::string& site, json::array& all) {
    const auto r =
        answer(std::string(kEvents) + " of site " + tenant + "/" + site,
               "/api/v1/history?limit=100&tenant=" + encoded(tenant) + "&site=" + encoded(site));
    if (!r) return false;
    for (const json::value& v : list_in(object_of(r->body), "items")) {
      if (!v.is_object()) continue;
      json::object e = redaction_.event(v.get_object());
      e["tenant"] = redaction_.text(tenant);
      all.push_back(std::move(e));
    }
    return true;
  }

  static std::string kernel() {
    utsname u{};
    ::uname(&u);
    std::string out = std::string(u.sysname) + " " + u.release + " " + u.version + " " + u.machine;
    for (const char* path :
         {"/proc/loadavg", "/proc/uptime", "/proc/meminfo", "/proc/pressure/cpu",
          "/proc/pressure/memory", "/proc/pressure/io", "/proc/sys/net/core/somaxconn",
          "/proc/sys/net/core/netdev_max_backlog", "/proc/sys/net/ipv4/ip_local_port_range",
          "/proc/sys/net/ipv4/tcp_mem", "/proc/sys/net/netfilter/nf_conntrack_max",
          "/proc/sys/net/netfilter/nf_conntrack_count", "/proc/sys/fs/file-nr",
          "/proc/net/sockstat", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/cpu.max"}) {
      if (const std::string text = beginning_of(path); !text.empty())
        out += "\n\n" + std::string(path) + "\n" + text;
    }
    return out + "\n";
  }

  static bool is_here(std::int64_t pid) {
    return pid > 0 && beginning_of("/proc/" + std::to_string(pid) + "/comm").starts_with("berth");
  }
  static std::string not_here(std::int64_t pid) {
    return pid <= 0 ? "the gateway tells of no such process"
                    : "process " + std::to_string(pid) + " is not on this host";
  }

  // Not its command line and its environment, which may have passwords.
  void add_process(const std::string& name, std::int64_t pid) {
    const std::string proc = "/proc/" + std::to_string(pid);
    const std::string file = name + ".txt";
    if (!is_here(pid)) return leave_out(file, not_here(pid));
    std::error_code ec;
    std::size_t open = 0;
    for (fs::directory_iterator it(proc + "/fd", ec), end; !ec && it != end; it.increment(ec))
      ++open;
    std::string out = "pid " + std::to_string(pid) + "\nopen files " +
                      (ec ? "not known: " + ec.message() : std::to_string(open)) + "\n";
    for (const char* what : {"/limits", "/status", "/cgroup", "/oom_score_adj", "/schedstat"})
      out += "\n" + proc + what + "\n" + beginning_of(proc + what);
    add(file, redaction_.text(out));
  }

  const Ctl& admin_;
  Redaction redaction_;
  Archive archive_;
  json::object status_;
  std::map<std::string, std::string> settings_;  // of the process that is asked
  std::string contents_;
  json::array left_out_, names_;
  std::size_t size_ = 0;
  int unanswered_ = 0;
};

// A new file for its owner only.
void write_new(const std::string& path, const std::string& bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) throw std::runtime_error(path + ": " + std::strerror(errno));
  std::size_t at = 0;
  ssize_t n = 1;
  while (at < bytes.size() && n > 0) {
    n = ::write(fd, bytes.data() + at, bytes.size() - at);
    at += n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  const int why = errno;
  const bool good = at == bytes.size() && ::close(fd) == 0;
  if (good) return;
  ::unlink(path.c_str());
  throw std::runtime_error(path + ": " + std::strerror(why));
}

}  // namespace

SupportBundleVerb::SupportBundleVerb(CLI::App& control, std::string version, HostLook host)
    : version_(std::move(version)), host_(std::move(host)) {
  verb_ = control.add_subcommand("support-bundle",
                                 "an archive of what a support engineer needs, without secrets");
  verb_->add_option("-o,--output", output_,
                    "the file to make [berth-support-TIME.tar.gz in this directory]");
  verb_->add_flag("--anonymous", anonymous_,
                  "numbers instead of names of clients, devices and accounts, and of addresses");
}

int SupportBundleVerb::make(const Ctl& admin) const {
  const std::int64_t now_s = std::time(nullptr);
  Bundle bundle(admin, anonymous_, now_s);
  admin::Response refused;
  if (!bundle.begin(refused)) {
    return print_refusal(admin, refused);
  }
  bundle.gather();
  bundle.add_check(host_, std::min<std::uint32_t>(admin.timeout_s, kCheckMax_s));
  const std::string path =
      output_.empty() ? text_of_time("berth-support-%Y%m%dT%H%M%SZ.tar.gz", now_s) : output_;
  const std::string where = admin.socket.empty() ? admin.admin : admin.socket;
  const std::string bytes = bundle.finished(
      "Support bundle of a berth gateway\nmade: " + text_of_time("%Y-%m-%dT%H:%M:%SZ", now_s) +
      " by berth " + version_ + "\ngateway: " + where +
      "\nnames: " + (anonymous_ ? "numbers" : "as they are") + "\n");
  try {
    write_new(path, bytes);
  } catch (const std::runtime_error& e) {
    std::fprintf(stderr, "berth ctl: %s\n", e.what());
    return 1;
  }
  std::string text = path + ": " + std::to_string(bytes.size()) + " bytes\n";
  for (const json::value& v : bundle.left_out()) text += "left out: " + text_of(v) + "\n";
  if (admin.as_json())
    text = json::serialize(json::object{{"file", path},
                                        {"bytes", bytes.size()},
                                        {"parts", bundle.names()},
                                        {"left_out", bundle.left_out()}}) +
           "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 0;
}

std::optional<int> SupportBundleVerb::run(const Ctl& admin) const {
  if (!*verb_) return std::nullopt;
  return answered([&] { return make(admin); });
}

}  // namespace berth::gateway
