// The house keeps its shape: rooms of the core are in layers, folders have no circles, no class
// grows into a hall, and the walk through the code that docs/ARCHITECTURE.md describes can be
// taken.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/log_levels.h"

namespace {

namespace fs = std::filesystem;
const fs::path kRoot = BERTH_SOURCE;
const std::vector<const char*> kCode{"base",  "metrics",  "protocol", "session", "store",
                                     "front", "platform", "sim",      "bench/load", "gateway"};

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<fs::path> sources() {
  std::vector<fs::path> all;
  for (const char* folder : kCode) {
    for (const auto& e : fs::recursive_directory_iterator(kRoot / folder)) {
      if (e.path().extension() == ".cc" || e.path().extension() == ".h") all.push_back(e.path());
    }
  }
  std::sort(all.begin(), all.end());
  return all;
}

std::vector<std::string> includes_of(const std::string& text) {
  static const std::regex include("(?:^|\n)#include \"([^\"]+)\"");
  std::vector<std::string> all;
  for (std::sregex_iterator it(text.begin(), text.end(), include), end; it != end; ++it)
    all.push_back((*it)[1]);
  return all;
}

// -- rooms

// Rooms of a folder: classes derived from `base`, in the order of the table in docs/ARCHITECTURE.md
// whose first column is `title`.
struct Rooms {
  const char* folder;
  const char* base;
  const char* title;
  std::size_t least;  // rooms
};

std::vector<std::string> rooms(const Rooms& of) {
  const std::string text = text_of(kRoot / "docs/ARCHITECTURE.md");
  const std::size_t from = text.find("\n| " + std::string(of.title) + " |");
  const std::string table = text.substr(from, text.find("\n\n", from + 1) - from);
  static const std::regex row("\n\\| `(\\w+)` \\|");
  std::vector<std::string> all;
  for (std::sregex_iterator it(table.begin(), table.end(), row), end; it != end; ++it)
    all.push_back((*it)[1]);
  return all;
}

void expect_layers(const Rooms& of) {
  std::map<std::string, std::string> header_of;  // room -> "session/x.h"
  for (const auto& e : fs::directory_iterator(kRoot / of.folder)) {
    const std::regex room("\nclass (\\w+) final : .*private " + std::string(of.base) + "\\b");
    const std::string text = text_of(e.path());
    std::smatch m;
    if (e.path().extension() == ".h" && std::regex_search(text, m, room) && m[1] != "Core")
      header_of[m[1]] = of.folder + ("/" + e.path().filename().string());
  }
  std::set<std::string> before;
  std::set<std::string> seen;
  for (const std::string& name : rooms(of)) {
    ASSERT_TRUE(header_of.contains(name)) << name << " is no room of " << of.folder;
    seen.insert(name);
    const fs::path header = kRoot / header_of[name];
    for (const fs::path& file : {header, fs::path(header).replace_extension(".cc")}) {
      for (const std::string& target : includes_of(text_of(file))) {
        const bool is_room = std::any_of(header_of.begin(), header_of.end(),
                                         [&](const auto& h) { return h.second == target; });
        if (is_room && target != header_of[name]) {
          EXPECT_TRUE(before.contains(target)) << file << " includes " << target;
        }
      }
    }
    before.insert(header_of[name]);
  }
  for (const auto& [name, header] : header_of)
    EXPECT_TRUE(seen.contains(name)) << name << " is not in docs/ARCHITECTURE.md";
  EXPECT_GE(seen.size(), of.least);
}

constexpr Rooms kCore{.folder = "session", .base = "Room", .title = "room", .least = 21};

TEST(House, ARoomIncludesOnlyRoomsAboveIt) {
  expect_layers(kCore);
  expect_layers(
      {.folder = "gateway/edge", .base = "EdgeRoom", .title = "room of the edge", .least = 11});
}

TEST(House, EachRoomHasATestFileOfItsName) {
  for (const std::string& name : rooms(kCore)) {
    std::string file;
    for (const char c : name) {
      if (std::isupper(static_cast<unsigned char>(c)) != 0 && !file.empty()) file += '_';
      file += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    const fs::path path = kRoot / "tests/session" / (file + "_test.cc");
    EXPECT_TRUE(text_of(path).find("#include \"session/" + file + ".h\"") != std::string::npos)
        << path << " tests " << name;
    EXPECT_NE(text_of(kRoot / "tests/CMakeLists.txt").find("session/" + file + "_test.cc"),
              std::string::npos);
  }
}

// Another device protocol adds a follower, and no branch elsewhere in the edge.
TEST(House, OnlyFollowersOfTheEdgeKnowADeviceProtocol) {
  static const std::regex park("protocol/park/|speaks_park\\(|ParkFollower");
  const std::set<std::string> followers{"listener.h", "mqtt_follower.h", "park_follower.cc",
                                        "park_follower.h", "stream_follower.h"};
  for (const auto& e : fs::directory_iterator(kRoot / "gateway/edge")) {
    const std::string text = text_of(e.path());
    EXPECT_EQ(std::regex_search(text, park), followers.contains(e.path().filename().string()))
        << e.path();
  }
}

// -- folders

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.find('/');
  if (!path.starts_with("gateway/")) return path.substr(0, slash);
  const std::size_t next = path.find('/', slash + 1);
  return next == std::string::npos ? "gateway" : path.substr(0, next);
}

TEST(House, FoldersHaveNoCircle) {
  std::map<std::string, std::set<std::string>> next;
  for (const fs::path& file : sources()) {
    const std::string from = folder_of(fs::relative(file, kRoot).string());
    for (const std::string& target : includes_of(text_of(file))) {
      if (fs::exists(kRoot / target) && folder_of(target) != from)
        next[from].insert(folder_of(target));
    }
  }
  std::set<std::string> done;
  std::vector<std::string> way;
  const std::function<void(const std::string&)> walk = [&](const std::string& folder) {
    const auto on = std::find(way.begin(), way.end(), folder);
    if (on != way.end()) {
      std::string circle;
      for (auto it = on; it != way.end(); ++it) circle += *it + " -> ";
      circle += folder;
      ADD_FAILURE() << circle;
      return;
    }
    if (!done.insert(folder).second) return;
    way.push_back(folder);
    for (const std::string& to : next[folder]) walk(to);
    way.pop_back();
  };
  for (const char* folder : kCode) walk(folder);
  for (const auto& [folder, to] : std::map(next)) walk(folder);
}

// -- classes

struct Size {
  int functions = 0;
  int data = 0;
};

// Without comments, literals and the bodies of functions and of types inside: "{}" stands for them.
std::string declarations(const std::string& text, std::size_t open) {
  std::string out;
  int depth = 0;
  for (std::size_t i = open; i < text.size(); ++i) {
    if (text.compare(i, 2, "//") == 0) {
      i = std::min(text.find('\n', i), text.size());
      continue;
    }
    if (text[i] == '"') {
      i = std::min(text.find('"', i + 1), text.size());
      continue;
    }
    if (text[i] == '{' && ++depth >= 2) {
      if (depth == 2) out += '{';
      continue;
    }
    if (text[i] == '}') {
      if (--depth == 0) return out;
      if (depth == 1) out += '}';
      continue;
    }
    if (depth == 1) out += text[i] == '\n' ? ' ' : text[i];
  }
  return out;
}

// Private functions and data of the class whose body begins at `open`.
Size size_of(const std::string& text, std::size_t open) {
  static const std::regex templates("<[^<>;]*>");
  static const std::regex skipped(
      "^\\s*(class|struct|enum|union|using|friend|static constexpr|template <class F> "
      "requires)\\b");
  std::string body = declarations(text, open);
  for (std::string less; (less = std::regex_replace(body, templates, "")) != body;) body = less;
  Size size;
  bool is_private = true;
  std::string one;
  for (std::size_t i = 0; i < body.size(); ++i) {
    for (const auto& [mark, yes] : {std::pair("public:", false), std::pair("protected:", false),
                                    std::pair("private:", true)}) {
      if (body.compare(i, std::string(mark).size(), mark) != 0) continue;
      is_private = yes;
      i += std::string(mark).size();
      one.clear();
    }
    if (i >= body.size()) break;
    one += body[i];
    const std::size_t paren = one.find('(');
    const bool function =
        paren != std::string::npos && paren < std::min(one.find('='), one.find('{'));
    const bool ends = body[i] == ';' || (body[i] == '}' && function);
    if (!ends) continue;
    if (is_private && one.find_first_not_of(" ;}") != std::string::npos &&
        !std::regex_search(one, skipped))
      ++(function ? size.functions : size.data);
    one.clear();
  }
  return size;
}

// What `berth ctl log-level` can name is what log.logger says.
TEST(House, TheModulesOfTheLogAreTheFoldersThatLog) {
  std::set<std::string> folders;
  for (const fs::path& file : sources()) {
    const std::string text = text_of(file);
    const bool logs = text.find("BERTH_LOG(") != std::string::npos && file.filename() != "log.h";
    if (logs || text.find("const LogKind k") != std::string::npos)
      folders.insert(file.parent_path().filename());
  }
  folders.erase("base");  // where both are made
  const std::set<std::string> modules(berth::base::kLogModules.begin(),
                                      berth::base::kLogModules.end());
  EXPECT_EQ(modules, folders);
}

TEST(House, NoClassIsAHall) {
  constexpr int kFunctions = 40;
  constexpr int kData = 25;
  static const std::regex head("(?:^|\n)class (\\w+)[^;{]*\\{");
  for (const fs::path& file : sources()) {
    const std::string text = text_of(file);
    for (std::sregex_iterator it(text.begin(), text.end(), head), end; it != end; ++it) {
      const auto open = static_cast<std::size_t>(it->position() + it->length() - 1);
      const Size size = size_of(text, open);
      EXPECT_LE(size.functions, kFunctions) << (*it)[1] << " in " << file;
      EXPECT_LE(size.data, kData) << (*it)[1] << " in " << file;
    }
  }
}

TEST(House, SizesAreCountedAsTheyAre) {
  const std::string text =
      "class X {\n public:\n  void a();\n private:\n  int f(int x) { return x; }  // g();\n"
      "  std::function<void(int)> then_;\n  int x_ = 0, y_{3};\n  template <class T>\n  void g(T "
      "t) "
      "{ if (t) { x_ = 1; } }\n  struct Y { int z; };\n  std::map<int, int> m_;\n};\n";
  const Size size = size_of(text, text.find('{'));
  EXPECT_EQ(size.functions, 2);
  EXPECT_EQ(size.data, 3);
}

// -- the walk

// What a file includes: itself, with its own headers, or with all that these include.
std::set<std::string> reach_of(const std::string& file, bool all) {
  std::set<std::string> seen;
  std::vector<std::string> next{file};
  const std::string folder = file.substr(0, file.rfind('/') + 1);
  while (!next.empty()) {
    const std::string one = next.back();
    next.pop_back();
    for (const std::string& target : includes_of(text_of(kRoot / one))) {
      if (!fs::exists(kRoot / target) || !seen.insert(target).second) continue;
      if (all || (one == file && target.starts_with(folder))) next.push_back(target);
    }
  }
  return seen;
}

TEST(House, TheWalkCanBeTaken) {
  const std::string text = text_of(kRoot / "docs/ARCHITECTURE.md");
  const std::size_t from = text.find("## A PUBLISH from socket to socket");
  ASSERT_NE(from, std::string::npos);
  const std::string part = text.substr(from, text.find("\n## ", from + 1) - from);
  static const std::regex row("\n\\| `([^`]+)` \\| ([^|]+) \\| [^|]+ \\|([^|]*)\\|");
  static const std::regex name("`([\\w:]+)`");
  static const std::regex interface("through `([^`]+)`");
  std::vector<std::string> files;
  std::string how;
  for (std::sregex_iterator it(part.begin(), part.end(), row), end; it != end; ++it) {
    const std::string file = (*it)[1];
    const std::string code = text_of(kRoot / file);
    ASSERT_FALSE(code.empty()) << file;
    const std::string names = (*it)[2];
    for (std::sregex_iterator n(names.begin(), names.end(), name); n != end; ++n)
      EXPECT_NE(code.find((*n)[1].str() + "("), std::string::npos) << (*n)[1] << " in " << file;
    if (how.find("call") != std::string::npos) {
      const auto reach = reach_of(files.back(), false);
      const std::vector<std::string> own = includes_of(code);
      EXPECT_TRUE(!own.empty() && reach.contains(own.front())) << files.back() << " -> " << file;
    }
    how = (*it)[3];
    std::smatch m;
    if (std::regex_search(how, m, interface)) {
      EXPECT_TRUE(reach_of(file, true).contains(m[1])) << file << " does not know " << m[1];
    }
    files.push_back(file);
  }
  EXPECT_EQ(files.size(), 15u);
  EXPECT_EQ(std::set<std::string>(files.begin(), files.end()).size(), 13u);
}

}  // namespace
