// Style that a machine can check: layering, lengths, the co_await rule, no stray files.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
const fs::path kRoot = BERTH_SOURCE;
constexpr std::size_t kLineMax = 100;
constexpr int kFunctionMax = 70;
constexpr int kFileMax = 700;

std::vector<fs::path> sources(std::initializer_list<const char*> folders) {
  std::vector<fs::path> all;
  for (const char* folder : folders) {
    for (const auto& e : fs::recursive_directory_iterator(kRoot / folder)) {
      if (e.path().extension() == ".cc" || e.path().extension() == ".h") all.push_back(e.path());
    }
  }
  return all;
}
std::vector<std::string> lines(const fs::path& p) {
  std::ifstream in(p);
  std::vector<std::string> all;
  for (std::string l; std::getline(in, l);) all.push_back(l);
  return all;
}

// What each folder may include, besides itself (docs/ARCHITECTURE.md, "Folders"): folders, or
// single files of one.
const std::map<std::string, std::set<std::string>> kMay = {
    {"base", {}},
    {"metrics", {"base"}},
    {"protocol", {"base"}},
    {"sim", {"base", "protocol"}},
    {"bench/load", {"base", "protocol"}},
    {"session", {"base", "metrics", "protocol"}},
    {"store", {"base", "metrics", "protocol", "session/store.h"}},
    {"platform", {"base", "metrics", "protocol", "session"}},
    {"front", {"base", "metrics", "protocol", "session"}},
    {"gateway/io", {"base"}},
    {"gateway/runtime", {"base"}},
    {"gateway/admin", {"base"}},
    {"gateway/console", {"base", "gateway/admin"}},
    {"gateway/link", {"base", "metrics", "protocol", "gateway/io", "gateway/runtime"}},
    {"gateway/edge",
     {"base", "metrics", "protocol", "gateway/io", "gateway/runtime", "gateway/link/ports.h",
      "gateway/link/principal_id.h"}},
    {"gateway/registry", {"base", "metrics", "protocol", "session", "store", "platform"}},
    {"gateway/tracing", {"base", "metrics", "platform"}},
    {"gateway/engine",
     {"base", "metrics", "protocol", "session", "platform", "front", "gateway/registry",
      "gateway/link/ports.h", "gateway/link/principal_id.h"}},
    {"gateway/rest",
     {"base", "protocol", "session", "platform", "gateway/admin", "gateway/registry",
      "gateway/link/ask.h", "gateway/link/asker.h", "gateway/link/principal_id.h",
      "gateway/engine/login_throttle.h", "gateway/tracing"}},
    {"gateway/config",
     {"base", "protocol", "session", "store", "gateway/edge", "gateway/engine/login_options.h",
      "gateway/link/tls_files.h", "gateway/registry/password_hash.h", "platform/options.h",
      "gateway/tracing/options.h"}},
    {"gateway/uplink",
     {"base", "metrics", "protocol", "session", "front", "gateway/tracing"}},
    {"gateway/node",
     {"gateway/uplink", "base", "metrics", "protocol", "session", "store", "platform", "front",
      "gateway/io", "gateway/runtime", "gateway/admin", "gateway/link", "gateway/edge",
      "gateway/registry", "gateway/engine", "gateway/rest", "gateway/config", "gateway/tracing"}},
    {"gateway/single",
     {"base", "metrics", "protocol", "session", "store", "platform", "front", "gateway/io",
      "gateway/runtime", "gateway/admin", "gateway/console", "gateway/link", "gateway/edge",
      "gateway/registry",
      "gateway/engine", "gateway/rest", "gateway/config", "gateway/node", "gateway/tracing"}},
    {"gateway/cluster",
     {"base", "metrics", "protocol", "session", "store", "platform", "front", "gateway/io",
      "gateway/runtime", "gateway/admin", "gateway/console", "gateway/link", "gateway/edge",
      "gateway/registry",
      "gateway/engine", "gateway/rest", "gateway/config", "gateway/node", "gateway/tracing"}},
    {"gateway/ctl",
     {"base", "metrics/exposition.h", "gateway/admin", "gateway/config", "gateway/node/backup.h"}},
    {"gateway", {"base", "session", "sim", "bench/load", "gateway"}},  // main.cc
};

// The folder of a file or of an entry of the table.
std::string folder_of(const std::string& path) {
  std::string folder = path;
  while (!folder.empty() && !kMay.contains(folder)) {
    const std::size_t slash = folder.rfind('/');
    folder.resize(slash == std::string::npos ? 0 : slash);
  }
  return folder;
}

TEST(Tidy, FoldersIncludeOnlyTheirLeft) {
  static const std::regex include("^#include \"([^\"]+)\"");
  for (const auto& [folder, may] : kMay) {
    for (const fs::path& file : sources({folder.c_str()})) {
      if (folder_of(fs::relative(file, kRoot)) != folder) continue;
      for (const std::string& line : lines(file)) {
        std::smatch m;
        if (!std::regex_search(line, m, include)) continue;
        const std::string target = m[1];
        bool allowed = target.starts_with(folder + "/");
        for (const std::string& entry : may)
          allowed = allowed || target == entry || target.starts_with(entry + "/");
        EXPECT_TRUE(allowed) << file << " includes " << target;
      }
    }
  }
}

// Else a new folder would be bound by no rule.
TEST(Tidy, EachFolderHasItsPlaceInTheTable) {
  for (const fs::path& file :
       sources({"base", "metrics", "protocol", "session", "gateway", "sim"})) {
    const std::string path = fs::relative(file, kRoot);
    if (!path.starts_with("gateway/")) continue;
    const std::string folder = path.substr(0, path.rfind('/'));
    EXPECT_TRUE(kMay.contains(folder)) << folder << " has no line in kMay";
  }
}

TEST(Tidy, ProtocolAndSessionKnowNoSocketThreadOrClock) {
  static const std::regex forbidden(
      "<(thread|mutex|chrono|sys/socket\\.h|boost/asio)|base::now\\(|monotonic_ns\\(");
  for (const fs::path& file : sources({"protocol", "session", "front"})) {
    for (const std::string& line : lines(file))
      EXPECT_FALSE(std::regex_search(line, forbidden)) << file << ": " << line;
  }
}

TEST(Tidy, LinesFilesAndFunctionsHaveALength) {
  static const std::regex signature("^[A-Za-z].*\\) (const )?(override )?\\{$|^[A-Za-z].*\\) \\{$");
  for (const fs::path& file : sources({"base", "metrics", "protocol", "session", "store",
                                       "platform", "front", "gateway", "sim", "bench/load"})) {
    const auto all = lines(file);
    EXPECT_LE(static_cast<int>(all.size()), kFileMax) << file;
    int start = -1;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const bool literal =
          all[i].find('"') != std::string::npos;  // clang-format leaves strings whole
      EXPECT_LE(all[i].size(), literal ? kLineMax + 30 : kLineMax) << file << ":" << i + 1;
      if (std::regex_search(all[i], signature)) start = static_cast<int>(i);
      if (all[i] == "}" && start >= 0) {
        EXPECT_LE(static_cast<int>(i) - start, kFunctionMax) << file << ":" << start + 1;
        start = -1;
      }
    }
  }
}

TEST(Tidy, HeadersSayWhatTheyAreFor) {
  for (const fs::path& file : sources({"base", "metrics", "protocol", "session", "store",
                                       "platform", "front", "gateway", "sim", "bench/load"})) {
    if (file.extension() != ".h") continue;
    const auto all = lines(file);
    ASSERT_FALSE(all.empty()) << file;
    EXPECT_TRUE(all[0].starts_with("//")) << file;
    EXPECT_NE(std::find(all.begin(), all.end(), "#pragma once"), all.end()) << file;
  }
}

// g++ 12 destroys capturing lambdas and braced temporaries inside a co_await expression twice.
TEST(Tidy, NoLambdaOrBracesInsideCoAwait) {
  static const std::regex bad("co_await [^;]*(\\[[^\\]]|\\{)");
  for (const fs::path& file : sources({"gateway"})) {
    for (const std::string& line : lines(file))
      EXPECT_FALSE(std::regex_search(line, bad)) << file << ": " << line;
  }
}

// A LogName has its own quotes where it needs some: within the format's, a reader of the log finds
// an empty value and loses the rest.
TEST(Tidy, NoLogNameStandsInQuotes) {
  static const std::regex call("BERTH_LOG\\(([^;]*)\\);");
  static const std::regex literal("\"((?:[^\"\\\\]|\\\\.)*)\"");
  static const std::regex place("(\\\\\")?\\{\\}");
  for (const fs::path& file :
       sources({"base", "session", "store", "platform", "front", "gateway"})) {
    std::string all;
    for (const std::string& line : lines(file)) all += line + "\n";
    for (std::sregex_iterator c(all.begin(), all.end(), call), end; c != end; ++c) {
      const std::string text = (*c)[1];
      if (text.find("LogName{") == std::string::npos) continue;
      std::string format;
      std::size_t behind = 0;  // the literals of the format
      std::smatch l;
      for (std::string rest = text; std::regex_search(rest, l, literal); rest = l.suffix()) {
        if (l.prefix().str().find_first_not_of(behind == 0 ? "abcdefghijklmnopqrstuvwxyz, \n"
                                                           : " \n") != std::string::npos)
          break;
        format += l[1];
        behind = text.size() - static_cast<std::size_t>(l.suffix().length());
      }
      std::vector<std::string> arguments;
      int depth = 0;
      for (const char ch : text.substr(behind)) {
        depth += ch == '(' || ch == '{' || ch == '['   ? 1
                 : ch == ')' || ch == '}' || ch == ']' ? -1
                                                       : 0;
        if (ch == ',' && depth == 0) {
          arguments.emplace_back();
        } else if (!arguments.empty()) {
          arguments.back() += ch;
        }
      }
      std::size_t i = 0;
      for (std::sregex_iterator p(format.begin(), format.end(), place); p != end; ++p, ++i) {
        if (i < arguments.size() && (*p)[1].matched) {
          EXPECT_EQ(arguments[i].find("LogName{"), std::string::npos) << file << ": " << format;
        }
      }
    }
  }
}

TEST(Tidy, TestsDoNotSleep) {
  for (const fs::path& file : sources({"tests"})) {
    if (file.stem().string().ends_with("process") || file.filename() == "tidy_test.cc")
      continue;  // process.cc: the one look-again pause
    for (const std::string& line : lines(file)) {
      EXPECT_EQ(line.find("sleep_for"), std::string::npos) << file;
      EXPECT_EQ(line.find("usleep"), std::string::npos) << file;
      EXPECT_EQ(line.find("kill("), std::string::npos) << file << ": a pid of -1 is everybody";
    }
  }
}

// Every metric stands in the table of docs/operations.md, every alert has its line there.
TEST(Tidy, MetricsAndAlertsAreInTheDocs) {
  const auto text_of = [](const fs::path& file) {
    std::string text;
    for (const std::string& line : lines(file)) text += line + "\n";
    return text;
  };
  const fs::path root(BERTH_SOURCE);
  const std::string docs = text_of(root / "docs/operations.md");
  static const std::regex metric("\"(berth_[a-z0-9_]+)\"");
  std::size_t found = 0;
  for (const fs::path& file : sources({"metrics", "gateway"})) {
    const std::string text = text_of(file);
    for (std::sregex_iterator it(text.begin(), text.end(), metric), end; it != end; ++it) {
      const std::string name = (*it)[1];
      if (name.ends_with("_")) continue;  // the begin of names
      ++found;
      EXPECT_NE(docs.find("`" + name + "`"), std::string::npos) << name << " of " << file;
    }
  }
  EXPECT_GT(found, 100u);
  const std::string rules = text_of(root / "metrics/prometheus/berth.rules.yaml");
  static const std::regex alert("- alert: (\\w+)");
  for (std::sregex_iterator it(rules.begin(), rules.end(), alert), end; it != end; ++it)
    EXPECT_NE(docs.find("\n### " + (*it)[1].str() + "\n"), std::string::npos) << (*it)[1];
}

}  // namespace
