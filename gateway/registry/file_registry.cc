#include "gateway/registry/file_registry.h"

#include <sys/stat.h>

#include <stdexcept>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "base/read_file.h"
#include "gateway/registry/import.h"
#include "gateway/registry/registry.h"

namespace berth::gateway::registry {

namespace {
constexpr std::size_t kNamed = 8;  // records that a line of the log names
constexpr int kIterations = 1;     // passwords in the file stand there in clear

// "line 3: why" as "path:3: why".
std::string placed(const std::string& path, std::string_view why) {
  constexpr std::string_view kLine = "line ";
  return path + (why.starts_with(kLine) ? ":" : ": ") +
         std::string(why.starts_with(kLine) ? why.substr(kLine.size()) : why);
}

// Two records with one credential would both be locked out. `lines`: of the records, in this order.
void refuse_shared_credentials(const std::vector<Write>& writes, const std::vector<int>& lines) {
  std::map<std::string, std::size_t> taken;
  for (std::size_t i = 0; i < writes.size(); ++i) {
    const Key key = parse_key(writes[i].key);
    if (key.kind != Kind::device && key.kind != Kind::account) continue;
    const auto m = message_of(key.kind, *writes[i].value);
    for (const std::string& login : logins_of(key, *m)) {
      const auto [it, fresh] = taken.try_emplace(login, i);
      if (fresh || it->second == i) continue;
      const std::size_t later = lines[i] < lines[it->second] ? it->second : i;
      const std::size_t earlier = later == i ? it->second : i;
      throw BadRecord("line " + std::to_string(lines[later]) + ": '" + writes[later].key.substr(2) +
                      "' and '" + writes[earlier].key.substr(2) + "' (line " +
                      std::to_string(lines[earlier]) + ") have the same credential '" + login +
                      "'");
    }
  }
}

}  // namespace

FileRegistry::Stamp FileRegistry::stamp_of(const std::string& path) {
  struct stat s {};
  if (::stat(path.c_str(), &s) != 0) throw std::runtime_error(path + ": cannot be read");
  return {s.st_ino, s.st_mtim.tv_sec * 1'000'000'000 + s.st_mtim.tv_nsec, s.st_size};
}

Changes FileRegistry::read() {
  const bool first = std::exchange(begun_, true) == false;
  const Stamp now = stamp_of(path_);
  const bool settled = std::exchange(seen_, now) == now;
  if (now == read_at_) return {};
  if (!settled && !first) return {.pending = true};
  if (gate_ && !first && !gate_(base::read_file(path_))) {
    FileRegistry(path_).read();  // throws what is wrong with it
    return {.pending = true};
  }
  Changes out = parse(path_);
  if (stamp_of(path_) != now) return {.pending = true};
  read_at_ = now;
  return out;
}

// Names of records only: what stands in them may be secret.
void FileRegistry::log_changes(const std::string& path, const Known& before, const Known& now) {
  const auto key_of_said = [](const auto& said) {
    return said.first.substr(0, said.first.find('\0'));
  };
  std::map<std::string, const char*> changes;
  for (const auto& said : before) {
    if (!now.contains(said.first)) changes[key_of_said(said)] = "removed";
  }
  std::size_t added = 0;
  std::size_t changed = 0;
  for (const auto& said : now) {
    if (before.contains(said.first)) continue;
    const auto [it, fresh] = changes.try_emplace(key_of_said(said), "added");
    if (!fresh) it->second = "changed";
    ++(fresh ? added : changed);
  }
  std::string names;
  std::size_t left = kNamed;
  for (const auto& [key, what] : changes) {
    if (left-- == 0) break;
    names += (names.empty() ? "" : ", ") + std::string(what) + " " + key;
  }
  BERTH_LOG(info,
            "registry file read again file={} records={} added={} changed={} missing={} first={}",
            base::LogName{path}, now.size(), added, changed, changes.size() - added - changed,
            base::LogName{names, 512});
}

Changes FileRegistry::parse(const std::string& path) {
  const std::string text = base::read_file(path);
  Changes out{.whole = true, .list = {}};
  Known known;
  try {
    std::vector<Said> said = parse_yaml(text);
    std::vector<std::string> as_said;
    std::vector<int> lines;
    for (const Said& s : said) {
      as_said.push_back(s.key + '\0' + deterministic(*s.message));
      lines.push_back(s.line);
    }
    const auto nothing = [](std::string_view) -> const std::string* { return nullptr; };
    const std::vector<Write> writes = to_writes(std::move(said), nothing, kIterations);
    refuse_shared_credentials(writes, lines);
    for (std::size_t i = 0; i < writes.size(); ++i) {
      const auto before = known_.find(as_said[i]);
      const std::string& value = before != known_.end() ? before->second : *writes[i].value;
      known.emplace(as_said[i], value);
      out.list.push_back({writes[i].key, value});
    }
  } catch (const BadRecord& e) {
    throw std::runtime_error(placed(path, e.what()));
  }
  if (!known_.empty()) log_changes(path, known_, known);
  known_ = std::move(known);
  return out;
}

}  // namespace berth::gateway::registry
