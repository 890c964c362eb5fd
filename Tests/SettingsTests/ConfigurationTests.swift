// Configuration files: good ones with their values, bad ones with the line of each error.

import Platform
import Settings
import TestSupport
import Testing

@Suite struct ConfigurationTests {
  /// A bad file: its text, the line of its first error, and a word of the reason or of the hint.
  private static let bad: [(text: String, line: Int, word: String)] = [
    ("stor = \"/srv\"", 1, "store"), ("store = 1", 1, "absolute path"),
    ("store = \"srv\"", 1, "absolute path"),
    ("store = \"/\"", 1, "absolute path"), ("store = \"/srv/../x\"", 1, "absolute path"),
    ("store = \"\"", 1, "absolute"),
    ("store = [\"/srv\"]", 1, "an array"), ("\n\nstore = true", 3, "true"),
    ("store = \"/a\"\nstore = \"/b\"", 2, "defined once"),
    ("remote = 1", 1, "table"), ("[remote.x]\nurl = 1", 2, "address"),
    ("[remote.x]\nregion = \"x\"", 1, "'url'"), ("[remote.\"-x\"]\nurl = \"/x\"", 1, "name"),
    ("[remote.x]\nurl = \"/x\"\nsecret = \"x\"", 3, "not a setting"),
    ("[image.a]\npush = 1", 2, "remotes"),
    ("[cache]\nsegment = \"1G\"", 2, "segments"), ("[cache]\nsegments = \"1X\"", 2, "size"),
    ("[cache]\nsegments = -1", 2, "size"), ("[cache]\nsegments = 1.5", 2, "size"),
    ("cache = 1", 1, "a table"),
    ("[[cache]]", 1, "a table"),
    ("[maintain]\nverify-tim = \"1h\"", 2, "verify-time"),
    ("[maintain]\nverify-time = \"1x\"", 2, "time"),
    ("[maintain]\nverify-time = \"\"", 2, "time"), ("[maintain]\nverify-time = -1", 2, "time"),
    ("[maintain]\nverify-bytes = true", 2, "size"), ("[maintain]\noptimize-time = []", 2, "time"),
    ("[maintain]\noptimize-bytes = \"many\"", 2, "size"),
    ("[serve]\nport = 80", 2, "listen"), ("[serve]\nlisten = \"a\"", 2, "list"),
    ("[serve]\ntoken-file = \"tokens\"", 2, "absolute path"),
    ("[serve]\npublic-boot = 1", 2, "true or false"),
    ("[serve]\ntls-certificate = \"/c\"", 1, "tls-key"),
    ("[maintain]\nmetrics = \"x.prom\"", 2, "absolute path"),
    ("[maintain]\nmetrics = 07:00:00", 2, "a date or time"), ("[maintian]", 1, "maintain"),
    ("[image.compute]\nschedul = \"daily\"", 2, "schedule"),
    ("[image.compute]\nschedule = \"dayly\"", 2, "daily"),
    ("[image.compute]\nschedule = 6", 2, "schedule"),
    ("[image.compute]\nschedule = \"6\"", 2, "schedule"),
    ("[image.compute]\nschedule = \"30s\"", 2, "schedule"),
    ("[image.compute]\nexcludes = \"x\"", 2, "list"),
    ("[image.compute]\nexcludes = [1]", 2, "list"),
    ("[image.compute]\nexcludes = [\"a/../b\"]", 2, "pattern"),
    ("[image.compute]\npre-snapshot = \"/bin/true\"", 2, "list"),
    ("[image.compute]\npre-snapshot = []", 2, "absolute path"),
    ("[image.compute]\npre-snapshot = [\"true\"]", 2, "absolute path"),
    ("[image.compute]\npost-snapshot = [\"/bin/true\", 1]", 2, "list"),
    ("[image.compute]\npost-snapshot = [\"/bin/true\", \"\\u0000\"]", 2, "list"),
    ("[image.compute.retention]\nkeep-dayly = 7", 2, "keep-daily"),
    ("[image.compute.retention]\nkeep-daily = -1", 2, "number"),
    ("[image.compute.retention]\nkeep-daily = \"7\"", 2, "number"),
    ("[image.compute.retention]\nkeep-daily = 7.0", 2, "number"),
    ("[image.compute.retention]\nkeep-last = 9999999999", 2, "number"),
    ("[image.compute.retention]\nkeep-within = 30", 2, "time"),
    ("[image.compute.retention]\nkeep-within = \"30\"", 2, "time"),
    ("[image.compute.retention]\nkeep-tagged = 1", 2, "true or false"),
    ("[image.compute.retention]\nkeep-daily = 0", 1, "0 snapshots"),
    (
      "[image.\"*\".retention]\nkeep-last = 2\n[image.compute.retention]\nkeep-last = 0", 3,
      "0 snapshots"
    ),
    ("[image.compute]\nretention = 3", 2, "a table"),
    ("[image.compute.pack]\nmethd = \"tar\"", 2, "method"),
    ("[image.compute.pack]\nmethod = \"zip\"", 2, "one of"),
    ("[image.compute.pack]\ncompress = \"bzip2\"", 2, "one of"),
    ("[image.compute.pack]\ncompress = 9", 2, "one of"), ("[image.\"\"]", 1, "not the name"),
    ("[image.\"a/b\"]", 1, "not the name"),
    ("[image.\"a@1\"]", 1, "not the name"), ("image = []", 1, "a table"),
    ("[image]\ncompute = 1", 2, "a table"),
    ("[image.compute", 1, "toml.io"), ("store = /srv", 1, "quotes"), ("store = yes", 1, "quotes"),
    ("store = \"/srv", 1, "toml.io"), ("store = [}", 1, "toml.io"),
    ("[maintain]\nverify-time = 9223372036854775807", 2, "time"),
    (
      "[maintain]\nverify-time = \"" + String(repeating: "4294967295d", count: 90_000) + "\"", 2,
      "time"
    ),
    ("[cache]\nsegments = \"99999999999T\"", 2, "size"),
    ("a\u{0}b", 1, "toml.io"), ("[image.compute.pull]", 1, "not a setting"),
  ]

  private func read(_ text: String) -> (configuration: Configuration, errors: [ConfigurationError])
  {
    ConfigurationReader.read(Array(text.utf8), path: "/f")
  }

  @Test func `a bad setting is reported with its line and a hint`() {
    #expect(Self.bad.count >= 60)
    for (text, line, word) in Self.bad {
      let errors = read(text).errors
      #expect(errors.first?.line == line, "\(text): \(errors)")
      #expect(errors.first?.errorCode == .configInvalid)
      #expect(errors.first?.subject == "/f:\(line)")
      let all = (errors.first?.reason ?? "") + (errors.first?.hint ?? "")
      #expect(all.contains(word), "\(text): \(all)")
    }
  }

  @Test func `all errors of a file are listed in the order of their lines`() {
    let errors = read("[maintain]\nx = 1\n[image.a]\ny = 1\nschedule = 1\n").errors
    #expect(errors.map(\.line) == [2, 4, 5])
  }

  private static let good = """
    store = "/srv/imgstore"
    [cache]
    segments = "4GiB"
    [maintain]
    verify-time = "1h30m"
    verify-bytes = 50_000_000_000
    optimize-time = 0
    optimize-bytes = "20G"
    metrics = "/var/lib/node/imgstore.prom"
    [serve]
    listen = ["10.0.0.1:7070"]
    token-file = "/etc/imgstore/tokens"
    public-boot = true
    cache-limit = "20GiB"
    remote = "depot"
    [image.compute]
    schedule = "6h"
    [image."*"]
    schedule = "weekly"
    excludes = ["*.log", "/tmp/*"]
    [image."*".retention]
    keep-last = 3
    keep-daily = 7
    keep-within = "30d"
    [image."comp*".retention]
    keep-daily = 14
    [image."comp*"]
    pre-snapshot = ["/usr/bin/sync", "-f", "/install"]
    [image."*".pack]
    method = "squashfs"
    compress = "zstd"
    """

  @Test func `a good file has its values, and an image has those of the most specific section`() {
    let (configuration, errors) = read(Self.good)
    #expect(errors == [])
    #expect(configuration.store == Setting("/srv/imgstore", .file("/f", line: 1)))
    #expect(configuration.segmentCacheBytes?.value == 4 << 30)
    #expect(configuration.maintenance.verifySeconds?.value == 5400)
    #expect(configuration.maintenance.verifyBytes?.value == 50_000_000_000)
    #expect(configuration.maintenance.optimizeSeconds?.value == 0)
    #expect(configuration.maintenance.metrics?.value == "/var/lib/node/imgstore.prom")
    #expect(configuration.serve.listen?.value == ["10.0.0.1:7070"])
    #expect(configuration.serve.isBootPublic?.value == true)
    #expect(configuration.serve.cacheBytes?.value == 20 << 30)
    #expect(configuration.serve.remote?.value == "depot")
    let compute = configuration.settings(of: "compute")
    #expect(compute.schedule == Setting(.every(seconds: 21600, text: "6h"), .file("/f", line: 17)))
    #expect(compute.retention.last?.value == 3 && compute.retention.daily?.value == 14)
    #expect(compute.retention.within?.value == "30d")
    #expect(compute.preSnapshot?.value == ["/usr/bin/sync", "-f", "/install"])
    #expect(compute.excludes?.value == ["*.log", "/tmp/*"])
    let other = configuration.settings(of: "login")
    #expect(other.schedule?.value == .each(.weekly) && other.retention.daily?.value == 7)
    #expect(other.preSnapshot == nil && other.packMethod?.value == "squashfs")
  }

  @Test func `whatever a file has, its settings can be listed and read again`() {
    for seed in seeds {
      var random = SplitMix64(seed)
      var accepted = 0
      for _ in 0..<4000 {
        var bytes = Array(Self.good.utf8)
        for _ in 0..<Int.random(in: 1...3, using: &random) {
          let at = Int.random(in: 0..<bytes.count, using: &random)
          switch Int.random(in: 0..<3, using: &random) {
          case 0: bytes.remove(at: at)
          case 1: bytes[at] = bytes.randomElement(using: &random) ?? 0
          default: bytes.insert(bytes.randomElement(using: &random) ?? 0, at: at)
          }
        }
        let (configuration, errors) = ConfigurationReader.read(bytes, path: "/f")
        guard errors.isEmpty else {
          #expect(errors.allSatisfy { $0.line != nil && !$0.reason.isEmpty })
          continue
        }
        accepted += 1
        let text = configuration.listed().map { "\($0.key) = \($0.value)" }.joined(separator: "\n")
        let again = read(text)
        #expect(again.errors == [], "seed \(seed): \(text)")
        #expect(
          again.configuration.listed().map(\.value).sorted()
            == configuration.listed().map(\.value).sorted(), "seed \(seed)")
      }
      #expect(accepted > 100)
    }
  }

  @Test func `listed settings are a file with the same settings`() {
    let configuration = read(Self.good).configuration
    let text = configuration.listed().map { "\($0.key) = \($0.value)" }.joined(separator: "\n")
    let (again, errors) = read(text)
    #expect(errors == [])
    #expect(again.listed().map(\.key).sorted() == configuration.listed().map(\.key).sorted())
    #expect(
      again.settings(of: "compute").listedValues
        == configuration.settings(of: "compute").listedValues)
  }
}

extension ImageSettings {
  fileprivate var listedValues: [String] {
    [
      schedule?.value.text ?? "", "\(retention.last?.value ?? -1)",
      "\(retention.daily?.value ?? -1)",
      (excludes?.value ?? []).joined(), (preSnapshot?.value ?? []).joined(),
      packMethod?.value ?? "",
    ]
  }
}
