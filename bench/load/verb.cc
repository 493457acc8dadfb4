#include "bench/load/verb.h"

#include <CLI/CLI.hpp>

namespace berth::bench {

BenchVerb::BenchVerb(CLI::App& app, int argc, char** argv)
    : verb_(app.add_subcommand("bench", "put a load on a server and say how it bears it")) {
  Options& o = options_;
  for (int i = 0; i < argc; ++i) o.command += (i == 0 ? "" : " ") + std::string(argv[i]);
  verb_->add_option("name", o.name, "of a scenario; list prints them")->required();
  verb_->add_option("--target", o.target,
                    "mqtt://, mqtts://, ws://, wss://, park:// or parks://HOST:PORT "
                    "[mqtt://127.0.0.1:1883]");
  verb_->add_option("--seconds", o.seconds, "instead of the scenario's");
  verb_->add_option("--rate", o.rate, "messages published a second, instead of the scenario's");
  verb_
      ->add_option("--window", o.window,
                   "closed loop: so many messages of each publisher under way, as fast as it goes")
      ->check(CLI::Range(1, 60'000));
  verb_->add_option("--messages", o.messages, "end after so many were published");
  verb_->add_option("--processes", o.processes, "that make the load [1]")
      ->check(CLI::Range(1, 256));
  verb_->add_option("--sources", o.sources, "addresses that it comes from: 127.0.0.2-127.0.0.9");
  verb_->add_option("--qos", o.qos, "instead of 1")->check(CLI::Range(0, 2));
  verb_->add_option("--payload", o.payload, "bytes, instead of 16")
      ->check(CLI::Range(16, 1'000'000));
  verb_->add_flag("--offline", o.offline, "subscribers are away while it is published");
  verb_->add_option("--user", o.user, "user name; %i in it is the number of the device");
  verb_->add_option("--password-file", o.password_file, "its first line: password, or key of Park");
  verb_->add_option("--drain", o.drain_s, "seconds to wait for what is on its way [10]")
      ->check(CLI::Range(0.0, 3600.0));
  verb_->add_option("--connect-timeout", o.connect_limit_s, "seconds for one connection [10]")
      ->check(CLI::Range(0.1, 3600.0));
  verb_->add_flag("--sweep", o.sweep,
                  "rates from the scenario's up, until the server can't follow");
  verb_->add_option(
      "--server", o.server,
      "a berth binary: its own gateway in a temporary directory; of --target only the "
      "scheme counts");
  verb_->add_option("--server-arg", o.server_arguments, "of its berth serve; again for more")
      ->allow_extra_args(false);
  verb_->add_option("--server-pid", o.server_pids, "of a server that runs: what it costs")
      ->delimiter(',');
  verb_->add_option("--json", o.json, "file for all figures");
  verb_->add_option("--html", o.html, "file for a page with plots");
  verb_->add_option("--hdr", o.hdr, "file for a log of HdrHistogram");
  verb_->add_flag("--quiet", o.quiet, "no line each second");
}

std::optional<int> BenchVerb::run() const {
  if (!*verb_) return std::nullopt;
  return bench::run(options_);
}

}  // namespace berth::bench
