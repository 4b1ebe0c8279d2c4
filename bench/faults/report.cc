#include "report.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>

namespace evp::bench {
namespace {

json::object counts(const storm_report& r) {
  json::object faults, harms;
  for (std::size_t i = 0; i < fault_names.size(); ++i) faults[fault_names[i]] = r.faults[i];
  for (std::size_t i = 0; i < harm_names.size(); ++i) harms[harm_names[i]] = r.harms[i];
  return {{"seconds", r.seconds}, {"settlingSeconds", r.settling_seconds}, {"faults", faults}, {"exchanges", harms}};
}

void row(const char* name, double ours, const double* curl) {
  std::printf("%-34s %9.0f", name, ours);
  if (curl) std::printf(" %13.0f", *curl);
  std::printf("\n");
}

}  // namespace

void print(const options& o, bool is_root, const ours_report& a, const curl_report* b) {
  std::printf("%u files, seed %llu; %s; %s\n", o.files, (unsigned long long)o.seed,
              is_root ? "network cut in a namespace of its own" : "no root: network cut at the connections",
              is_root ? "disk filled (a tmpfs)" : "disk not filled");
  std::printf("%-34s %9s%s\n", "", "evp", b ? "  curl --retry" : "");
  const auto both = [&](const char* name, double ours, double curl) { row(name, ours, b ? &curl : nullptr); };
  const auto of_storm = [&](const char* name, auto value) { both(name, value(a.storm), b ? value(b->storm) : 0); };
  of_storm("seconds of faults", [](const auto& r) { return r.seconds; });
  of_storm("seconds until all had ended, then", [](const auto& r) { return r.settling_seconds; });
  for (std::size_t i = 0; i < fault_names.size(); ++i)
    of_storm(fault_names[i], [i](const auto& r) { return double(r.faults[i]); });
  for (std::size_t i = 0; i < harm_names.size(); ++i)
    of_storm((std::string("storage: ") + harm_names[i]).c_str(), [i](const auto& r) { return double(r.harms[i]); });
  both("taken over", a.found.accepted, o.files);
  row("taken over just before a kill", a.found.unrecorded, nullptr);
  both("ended well", a.found.succeeded, b ? b->found.succeeded : 0);
  both("ended as a failure that was told", a.found.failed, b ? b->found.lost - b->found.unnoticed : 0);
  row("refused (disk full), then again", a.found.refused, nullptr);
  row("told again in a later life", a.found.told_again, nullptr);
  row("grants given", a.found.grants, nullptr);
  row("grants that ended unused", a.found.grants - a.found.grants_verified, nullptr);
  row("ended by itself (a program)", a.ended_by_itself, nullptr);
  both("stored more than once", a.put_again, b ? b->found.doubled : 0);
  both("LOST", a.found.lost, b ? b->found.lost : 0);
  both("CORRUPT", a.found.corrupt, b ? b->found.corrupt : 0);
  row("DOUBLED OUTCOMES", a.found.doubled, nullptr);
  for (const auto& text : a.found.offences) std::printf("  %s\n", text.c_str());
  for (const auto& text : a.reasons) std::printf("  told as failed: %s\n", text.c_str());
  auto ours = counts(a.storm);
  ours["accepted"] = a.found.accepted;
  ours["succeeded"] = a.found.succeeded;
  ours["failed"] = a.found.failed;
  ours["refused"] = a.found.refused;
  ours["grants"] = a.found.grants;
  ours["grantsUnused"] = a.found.grants - a.found.grants_verified;
  ours["unrecorded"] = a.found.unrecorded;
  ours["toldAgain"] = a.found.told_again;
  ours["lives"] = a.lives;
  ours["endedByItself"] = a.ended_by_itself;
  ours["storedAgain"] = a.put_again;
  ours["lost"] = a.found.lost;
  ours["corrupt"] = a.found.corrupt;
  ours["doubled"] = a.found.doubled;
  json::object all{{"files", o.files}, {"seed", o.seed}, {"root", is_root}, {"evp", ours}};
  if (b) {
    auto theirs = counts(b->storm);
    theirs["succeeded"] = b->found.succeeded;
    theirs["lost"] = b->found.lost;
    theirs["lostUnnoticed"] = b->found.unnoticed;
    theirs["corrupt"] = b->found.corrupt;
    theirs["storedAgain"] = b->found.doubled;
    theirs["starts"] = b->found.starts;
    theirs["isOver"] = b->found.is_over;
    all["curl"] = theirs;
  }
  std::printf("%s\n", json::serialize(all).c_str());
}

}  // namespace evp::bench
