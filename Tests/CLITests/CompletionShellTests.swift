// Completion in the real shells: keys are pressed in a pseudo terminal (Tests/Completion/drive.py),
// and the resulting command line is compared. Only this shows how a shell splits words, quotes, and
// where it adds blanks.

import Foundation
import TestSupport
import Testing

@Suite struct CompletionShellTests {
  private static let name = "el9-x86_64-netboot-compute"

  struct Row: Sendable {
    let typed: String
    /// The completed line, by shell, without blanks at its end.
    let bash: String
    let zsh: String
    let fish: String
    /// The listed candidates.
    let shows: [String]

    init(
      _ typed: String, _ line: String, zsh: String? = nil, fish: String? = nil, shows: [String] = []
    ) {
      (self.typed, bash, self.zsh, self.fish) = (typed, line, zsh ?? line, fish ?? line)
      self.shows = shows
    }

    func line(in shell: String) -> String {
      shell == "bash" ? bash : shell == "zsh" ? zsh : fish
    }
  }

  /// "\t" is the Tab key. SITE is the directory with the stores.
  private static let rows = [
    // Commands and options.
    Row("imgstore rever\t", "imgstore revert"), Row("imgstore key tr\t", "imgstore key trust"),
    Row("imgstore help unt\t", "imgstore help untag"),
    Row("imgstore revert img --comp\t", "imgstore revert img --component"),
    Row("imgstore --sto\t", "imgstore --store"),
    Row("imgstore pack img --compress z\t", "imgstore pack img --compress zstd"),
    Row("imgstore pack img --compress=z\t", "imgstore pack img --compress=zstd"),
    Row("imgstore find img --type \t", "imgstore find img --type", shows: ["b", "p", "s"]),
    // Images, also by a part of their names.
    Row("imgstore snapshot e\t", "imgstore snapshot \(name)"),
    Row("imgstore revert comp\t", "imgstore revert \(name)"),
    Row("imgstore log \t", "imgstore log", shows: [name, "img"]),
    Row("imgstore log 'im\t", "imgstore log 'img'"),
    // Snapshots.
    Row("imgstore revert compute@gol\t", "imgstore revert compute@golden"),
    Row("imgstore rm compute@\t", "imgstore rm compute@", shows: ["golden", "@2", "@1"]),
    Row("imgstore rm \"compute@gol\t", "imgstore rm \"compute@golden\""),
    Row("imgstore untag compute@g\t", "imgstore untag compute@golden"),
    Row("imgstore diff compute@li\t", "imgstore diff compute@live"),
    // Paths in a snapshot: behind a colon, with blanks, quoted, apart.
    Row("imgstore ls compute:/etc/pa\t", "imgstore ls compute:/etc/passwd"),
    Row("imgstore ls compute:etc/\t", "imgstore ls compute:etc/", shows: ["passwd-", "ssh/"]),
    Row("imgstore ls compute@1:etc/s\t", "imgstore ls compute@1:etc/ssh/"),
    Row(
      "imgstore cat compute:etc/motd compute@1:etc/h\t",
      "imgstore cat compute:etc/motd compute@1:etc/hosts"),
    Row("imgstore ls compute:my\t", #"imgstore ls compute:my\ docs/"#),
    Row("imgstore ls compute:my\\ docs/i\t", #"imgstore ls compute:my\ docs/it\'s\ \$x"#),
    // A directory closes the quotes in bash only; further typing works in both shells.
    Row(
      "imgstore ls \"compute:my\t", #"imgstore ls "compute:my docs/""#,
      zsh: #"imgstore ls "compute:my docs/"#, fish: #"imgstore ls "compute:my docs/"#),
    Row(
      "imgstore ls 'compute:my docs/i\t", #"imgstore ls 'compute:my docs/it'\''s $x'"#,
      fish: #"imgstore ls 'compute:my docs/it\'s $x'"#),
    Row("imgstore revert compute my\t", #"imgstore revert compute my\ docs/"#),
    Row("imgstore diff compute -- etc/ss\t", "imgstore diff compute -- etc/ssh/"),
    Row("imgstore revert compute --component ker\t", "imgstore revert compute --component kernel"),
    // Attributes.
    Row("imgstore define img provm\t", "imgstore define img provmethod="),
    Row("imgstore define img provmethod=netb\t", "imgstore define img provmethod=netboot"),
    Row("imgstore define img rootimgdir=SITE/oth\t", "imgstore define img rootimgdir=SITE/other/"),
    // Files and directories, of the shell's own.
    Row("imgstore import SITE/bun\t", #"imgstore import SITE/bundle\ one.tgz"#),
    Row("imgstore --store=SITE/oth\t", "imgstore --store=SITE/other/"),
    Row("imgstore --store SITE/bun\t", "imgstore --store SITE/bun"),
    Row("imgstore pack img -o SITE/bun\t", #"imgstore pack img -o SITE/bundle\ one.tgz"#),
    // Another store, before and behind the command; none.
    Row(
      "imgstore --store SITE/other/store revert \t",
      "imgstore --store SITE/other/store revert elsewhere"),
    Row(
      "imgstore --store=SITE/other/store revert \t",
      "imgstore --store=SITE/other/store revert elsewhere"),
    Row(
      "imgstore -q log --store SITE/other/store e\t",
      "imgstore -q log --store SITE/other/store elsewhere"),
    Row("imgstore --store /nowhere log \t", "imgstore --store /nowhere log"),
  ]

  private struct Answer: Decodable {
    let line: String
    let shown: String
  }

  /// Two stores, and files to name.
  private func site() throws -> TemporaryDirectory {
    let directory = try TemporaryDirectory()
    let environment = environment(directory)
    try shell(
      """
      mkdir -p "$1/root/compute/rootimg" "$1/other"; cd "$1/root/compute/rootimg"
      mkdir -p etc/ssh 'my docs'; echo k >../kernel; touch "$1/bundle one.tgz"
      for f in passwd passwd- motd hosts; do echo $f >etc/$f; done
      echo x >"my docs/it's "'$x'
      """, directory.path)
    func imgstore(_ words: String...) throws {
      let result = try run(binary, arguments: words, environment: environment)
      try #require(result.status == 0, "\(words): \(result.errors)")
    }
    try imgstore(
      "define", Self.name, "provmethod=netboot", "rootimgdir=/compute", "profile=compute")
    try imgstore("define", "img", "provmethod=netboot", "rootimgdir=/img")
    try imgstore("snapshot", "compute", "--tag", "golden")
    try imgstore("snapshot", "compute")
    try imgstore(
      "define", "elsewhere", "provmethod=netboot", "--store", directory.path("other/store"))
    for shell in ["bash", "zsh", "fish"] {
      try run(binary, "completion", shell).output
        .write(toFile: directory.path(shell), atomically: true, encoding: .utf8)
    }
    return directory
  }

  private func environment(_ directory: TemporaryDirectory) -> [String: String] {
    [
      "IMGSTORE_STORE": directory.path("store"), "IMGSTORE_ROOT": directory.path("root"),
      "TZ": "UTC",
      "DRIVE_BINARY": binary,
    ]
  }

  private func drive(
    _ shell: String, _ steps: [String], in directory: TemporaryDirectory, setup: String = ""
  ) throws -> [Answer] {
    let input = String(decoding: try JSONEncoder().encode(steps), as: UTF8.self)
    let result = try run(
      "python3",
      arguments: ["\(packageRoot)/Tests/Completion/drive.py", shell, directory.path],
      environment: environment(directory).merging(["DRIVE_SETUP": setup]) { $1 }, input: input)
    try #require(result.didSucceed, "\(result.errors)")
    return try JSONDecoder().decode([Answer].self, from: Data(result.output.utf8))
  }

  private func trimmed(_ line: String) -> Substring {
    line[...].dropLast(line.reversed().prefix { $0 == " " }.count)
  }

  @Test(arguments: ["bash", "zsh", "fish"])
  func `a completed line in the shell is the expected one`(_ shell: String) throws {
    let directory = try site()
    func here(_ text: String) -> String { text.replacing("SITE", with: directory.path) }
    // bash lists at the second press.
    let steps = Self.rows.map { row in
      here(row.typed) + (shell == "bash" && !row.shows.isEmpty ? "\t" : "")
    }
    for (row, answer) in zip(Self.rows, try drive(shell, steps, in: directory)) {
      #expect(
        trimmed(answer.line) == here(row.line(in: shell))[...], "\(shell): \(row.typed)")
      for word in row.shows {
        #expect(answer.shown.contains(word), "\(shell): \(row.typed): \(answer.shown)")
      }
      #expect(!answer.shown.contains("imgstore: "), "\(shell): \(row.typed): \(answer.shown)")
    }
  }

  /// Blanks behind words: after a whole one, and not where more can follow.
  @Test func `a completed word is followed by a blank only where it is complete`() throws {
    let directory = try site()
    let steps = [
      "imgstore rever\t", "imgstore log im\t", "imgstore revert im\t", "imgstore ls compute:my\t",
      "imgstore rm compute@gol\t", "imgstore define img provm\t",
    ]
    #expect(
      try drive("bash", steps, in: directory).map(\.line) == [
        "imgstore revert ", "imgstore log img ", "imgstore revert img",
        #"imgstore ls compute:my\ docs/"#, "imgstore rm compute@golden ",
        "imgstore define img provmethod=",
      ])
    // zsh takes the blank behind a name away when "@" or ":" follows.
    #expect(
      try drive(
        "zsh", steps + ["imgstore revert im\t@1", "imgstore revert im\t:etc"], in: directory
      )
      .map(\.line) == [
        "imgstore revert ", "imgstore log img ", "imgstore revert img ",
        #"imgstore ls compute:my\ docs/"#, "imgstore rm compute@golden ",
        "imgstore define img provmethod=", "imgstore revert img@1", "imgstore revert img:etc",
      ])
  }

  @Test func `completion works with other word breaks and other names of the program`() throws {
    let directory = try site()
    let typed = [
      "imgstore ls compute:/etc/pa\t", "imgstore rm compute@gol\t",
      "imgstore --store=\(directory.path)/oth\t", "IMGSTORE_STORE=/nowhere imgstore rever\t",
      "\(directory.path)/bin/imgstore rever\t", "is rever\t",
    ]
    let lines = [
      "imgstore ls compute:/etc/passwd", "imgstore rm compute@golden",
      "imgstore --store=\(directory.path)/other/", "IMGSTORE_STORE=/nowhere imgstore revert",
      "\(directory.path)/bin/imgstore revert", "is revert",
    ]
    let setup = "alias is=imgstore; complete -F _imgstore is; COMP_WORDBREAKS=$' \\t\\n'"
    #expect(
      try drive("bash", typed, in: directory, setup: setup).map { String(trimmed($0.line)) }
        == lines)
  }
}
