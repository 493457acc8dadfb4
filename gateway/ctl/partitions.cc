#include "gateway/ctl/partitions.h"

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <thread>

#include "gateway/ctl/asking.h"
#include "gateway/ctl/words.h"

namespace berth::gateway {

namespace json = boost::json;

namespace {

constexpr const char* kPartitions = "/api/v1/partitions";

// What the answer says of this partition.
json::object partition_in(const std::string& text, std::uint32_t number) {
  for (const json::value& v : list_in(object_of(text), "items")) {
    if (v.is_object() && number_in(v.get_object(), "partition") == number) return v.get_object();
  }
  return {};
}

}  // namespace

PartitionsVerb::PartitionsVerb(CLI::App& control) {
  verb_ = control.add_subcommand("partitions", "which engine serves which partition of a cluster");
  verb_->require_subcommand(0, 1);
  move_ =
      verb_->add_subcommand("move", "another engine is to serve a partition; waits until it does");
  move_->add_option("partition", number_, "its number")->required();
  move_->add_option("--wait-s", limit_s_, "how long to wait [120]")->check(CLI::Range(1, 3600));
}

int PartitionsVerb::list(const Ctl& admin) const {
  return print_answer(admin, ask(admin, "GET", kPartitions), [](const std::string& body) {
    return table_of(list_in(object_of(body), "items"),
                    {"partition", "served", "host", "pid", "term", "sessions", "others", "why"});
  });
}

int PartitionsVerb::move(const Ctl& admin) const {
  const std::string number = std::to_string(number_);
  const admin::Response r = ask(admin, "POST", std::string(kPartitions) + "/" + number + "/move");
  if (r.status != 202) {
    return print_refusal(admin, r);
  }
  const json::object before = object_of(r.body);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(limit_s_);
  while (std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // between two looks
    const json::object now = partition_in(ask(admin, "GET", kPartitions).body, number_);
    if (!is_true(now, "served") || number_in(now, "term") == number_in(before, "term")) continue;
    if (text_in(now, "process") == text_in(before, "process")) {
      std::fputs("berth ctl: the same engine has taken the partition again; its log says why\n",
                 stderr);
      return 1;
    }
    std::printf("partition %s is served by host %s, pid %lld\n", number.c_str(),
                without_controls(text_in(now, "host"), false).c_str(),
                static_cast<long long>(number_in(now, "pid")));
    return 0;
  }
  std::fputs("berth ctl: no other engine serves the partition yet\n", stderr);
  return 1;
}

std::optional<int> PartitionsVerb::run(const Ctl& admin) const {
  if (*move_) return answered([&] { return move(admin); });
  if (*verb_) return answered([&] { return list(admin); });
  return std::nullopt;
}

}  // namespace berth::gateway
