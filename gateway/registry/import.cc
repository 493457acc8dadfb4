#include "gateway/registry/import.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <boost/json.hpp>
#include <map>
#include <set>
#include <sstream>
#include <utility>

#include "gateway/registry/booleans.h"
#include "gateway/registry/import_budget.h"
#include "gateway/registry/merge.h"

namespace berth::gateway::registry {

namespace json = boost::json;

namespace {

constexpr int kPartsMax = 10'000;  // of one record in YAML

[[noreturn]] void bad(int line, const std::string& why) {
  throw BadRecord(line == 0 ? why : "line " + std::to_string(line) + ": " + why);
}

// -- YAML

// Goes through a file before it is made a tree of nodes, which takes a hundred bytes and more for
// each part. Aliases would make a small file a large one. Of a key that a map has twice the tree
// would keep one value and lose the other.
class YamlCheck final : public YAML::EventHandler {
 public:
  explicit YamlCheck(ImportBudget& budget) : budget_(budget) {}
  void OnDocumentStart(const YAML::Mark& m) override {
    if (++documents_ > 1) bad(m.line + 1, "a second document");
  }
  void OnDocumentEnd() override {}
  void OnAlias(const YAML::Mark& m, YAML::anchor_t) override { bad(m.line + 1, kNoAliases); }
  void OnNull(const YAML::Mark& m, YAML::anchor_t a) override { part(m, a); }
  void OnScalar(const YAML::Mark& m, const std::string&, YAML::anchor_t a,
                const std::string& text) override {
    if (part(m, a) && !open_.back().keys.insert(text).second)
      bad(m.line + 1, "key '" + text + "' twice");
  }
  void OnSequenceStart(const YAML::Mark& m, const std::string&, YAML::anchor_t a,
                       YAML::EmitterStyle::value) override {
    part(m, a);
    open_.push_back({});
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& m, const std::string&, YAML::anchor_t a,
                  YAML::EmitterStyle::value) override {
    part(m, a);
    open_.push_back({.map = true, .key_next = true, .keys = {}});
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  struct Open {  // a list or map that has not ended
    bool map = false;
    bool key_next = false;
    std::set<std::string> keys;
  };
  static constexpr const char* kNoAliases = "anchors and aliases are not taken";
  // True: it is a key of the map that is open.
  bool part(const YAML::Mark& m, YAML::anchor_t anchor) {
    if (anchor != 0) bad(m.line + 1, kNoAliases);
    budget_.part();
    if (open_.empty() || !open_.back().map) return false;
    return std::exchange(open_.back().key_next, !open_.back().key_next);
  }
  ImportBudget& budget_;
  std::vector<Open> open_;
  int documents_ = 0;
};

// All scalars as strings: the record's fields say what they are.
json::value to_json_value(const YAML::Node& n, int& left) {
  if (left-- <= 0) bad(n.Mark().line + 1, "a record of more than 10,000 parts");
  if (n.IsSequence()) {
    json::array a;
    for (const YAML::Node& each : n) a.push_back(to_json_value(each, left));
    return a;
  }
  if (n.IsMap()) {
    json::object o;
    for (const auto& each : n) o[each.first.as<std::string>()] = to_json_value(each.second, left);
    return o;
  }
  if (n.IsNull()) return nullptr;
  return json::value(n.as<std::string>());
}

int line_of(const YAML::Node& n) {
  return n.Mark().line + 1;
}

Said said_of(Kind kind, const std::string& tenant, const YAML::Node& n,
             const std::set<std::string>& apart, ImportBudget& budget) {
  const int line = line_of(n);
  if (!n.IsMap() || !n["name"] || !n["name"].IsScalar()) bad(line, "a record without a name");
  check_booleans(kind, n);
  json::object o;
  int left = kPartsMax;
  for (const auto& each : n) {
    const std::string key = each.first.as<std::string>();
    if (!apart.contains(key)) o[key] = to_json_value(each.second, left);
  }
  const std::string name = n["name"].as<std::string>();
  try {
    auto message = from_json(kind, json::serialize(o));
    budget.record(*message);
    return {key_of(kind, kind == Kind::tenant ? name : tenant, name), std::move(message), line,
            std::move(o)};
  } catch (const BadRecord& e) {
    bad(line, e.what());
  }
}

const std::map<std::string, Kind> kLists{{"sites", Kind::site},
                                         {"products", Kind::product},
                                         {"devices", Kind::device},
                                         {"accounts", Kind::account}};

void add_tenant(const YAML::Node& n, ImportBudget& budget, std::vector<Said>& out) {
  std::set<std::string> apart;
  for (const auto& [name, kind] : kLists) apart.insert(name);
  out.push_back(said_of(Kind::tenant, {}, n, apart, budget));
  const std::string tenant = n["name"].as<std::string>();
  for (const auto& [name, kind] : kLists) {
    const YAML::Node list = n[name];
    if (!list) continue;
    if (!list.IsSequence() && !list.IsNull()) bad(line_of(list), name + " is not a list");
    for (const YAML::Node& each : list) out.push_back(said_of(kind, tenant, each, {}, budget));
  }
}

// Does what a device or account names exist?
void check_references(const Said& s, const Message& m, const Message* old,
                      const std::set<std::string, std::less<>>& coming, const Find& find,
                      bool known_sites) {
  const Key key = parse_key(s.key);
  const auto there = [&](const std::string& wanted) {
    return coming.contains(wanted) || find(wanted) != nullptr;
  };
  const auto need = [&](const char* what, Kind kind, const std::string& name) {
    if (!there(key_of(kind, key.tenant, name)))
      bad(s.line, std::string("no ") + what + " '" + name + "' in tenant '" +
                      std::string(key.tenant) + "'");
  };
  if (key.kind != Kind::tenant && !there(key_of(Kind::tenant, key.tenant)))
    bad(s.line, "no tenant '" + std::string(key.tenant) + "'");
  if (key.kind == Kind::account && known_sites) {  // one of an older release may stay
    std::set<std::string> before;
    if (old != nullptr) {
      for (const std::string& site : static_cast<const pb::Account&>(*old).sites())
        before.insert(site);
    }
    for (const std::string& site : static_cast<const pb::Account&>(m).sites()) {
      if (!before.contains(site)) need("site", Kind::site, site);
    }
  }
  if (key.kind != Kind::device) return;
  const auto& d = static_cast<const pb::Device&>(m);
  need("site", Kind::site, d.site());
  if (!d.product().empty()) need("product", Kind::product, d.product());
  if (!d.parent().empty()) need("parent", Kind::device, d.parent());
  if (!d.executor().empty()) need("executor", Kind::device, d.executor());
}

}  // namespace

std::vector<Said> parse_yaml(const std::string& text) {
  std::vector<Said> out;
  if (text.size() > kImportYamlMax) bad(0, "YAML of more than 16 MiB: import it in parts");
  ImportBudget budget;
  try {
    std::istringstream in(text);
    YAML::Parser parser(in);
    YamlCheck check(budget);
    while (parser.HandleNextDocument(check)) {
    }
    const YAML::Node root = YAML::Load(text);
    if (!root || root.IsNull()) return out;
    if (!root.IsMap()) bad(1, "not a map with 'tenants'");
    for (const auto& each : root) {
      if (each.first.as<std::string>() != "tenants")
        bad(line_of(each.first), "unknown key '" + each.first.as<std::string>() + "'");
    }
    for (const YAML::Node& tenant : root["tenants"]) add_tenant(tenant, budget, out);
  } catch (const YAML::Exception& e) {
    bad(e.mark.line + 1, e.msg);
  }
  return out;
}

std::vector<Write> to_writes(std::vector<Said>& said, const Find& find,
                             const WriteOptions& options) {
  std::set<std::string, std::less<>> coming;
  for (const Said& s : said) {
    if (!coming.insert(s.key).second) bad(s.line, "'" + s.key.substr(2) + "' twice");
  }
  std::vector<Write> out;
  out.reserve(said.size());
  for (Said& s : said) {
    const Key key = parse_key(s.key);
    if (options.only != nullptr && !options.only->contains(s.key)) continue;
    try {
      const std::string* stored = find(s.key);
      const auto old = stored != nullptr ? message_of(key.kind, *stored) : nullptr;
      std::unique_ptr<Message> whole;  // `s` stays as it was said: it may be asked for again
      if (stored != nullptr && !s.patch.empty() && !options.replace)
        whole = merged(key.kind, *stored, s.patch, s.add_credentials);
      Message& m = whole ? *whole : *s.message;
      std::string value = normalized(key, m, old.get(), options.hashing);
      check_references(s, m, old.get(), coming, find, options.known_sites);
      if (stored == nullptr || *stored != value) out.push_back({s.key, std::move(value), {}});
    } catch (const BadRecord& e) {
      const std::string why = e.what();
      if (why.starts_with("line ") || s.line == 0) throw;
      bad(s.line, why);
    }
  }
  return out;
}

}  // namespace berth::gateway::registry
