// A model of the shells that xCAT's commands start. bash runs the lines of its scripts with a value in
// them, and every program is replaced by one that prints its arguments.
//
// A line is unsafe in one of four ways, and each is found:
// 1. The programs get words other than those of the line and the value, in order.
// 2. A word that begins with the value begins with a dash: the program takes it for an option.
// 3. A path leaves the directory in which the line puts the value.
// 4. It fails or writes a file, or an interactive shell, into which an administrator pastes it, sees
//    other words (history expansion).

import Foundation
import TestSupport
import XCAT

/// Lines of xCAT's commands (genimage, packimage, statelite, kit, imgport), with "%" for the value.
enum ModelShell {
  struct Case: Sendable {
    let column: String
    let value: String
    let line: String
    /// The expected words of the line.
    let words: [String]
    /// The positions of words that begin with the value, and must not be options.
    let operands: Set<Int>
    /// The directory that a word must stay in, by position.
    let directories: [Int: String]
  }

  static let lines: [String: [String]] = [
    "rootimgdir": [
      "rm -rf %/xcatpost", "mkdir -p %/xcatpost", "cp -r /p/x %/xcatpost/",
      "tool --rootimgdir %", "mv %/.statebackup/a %/a", "umount %/proc",
    ],
    "imagename": ["ilitefile %", "rm -rf /install/osimages/%/kits"],
    "osarch": ["tool -a %", "ilitefile r-%-statelite-p", "rm -rf /install/netboot/r/%/p"],
    "osvers": ["tool -o %", "ilitefile %-a-statelite-p", "rm -rf /r/etc/zypp/repos.d/%-x.repo"],
    "profile": ["tool -p %", "ilitefile r-a-statelite-%", "rm -rf /install/netboot/r/a/%"],
    "netdrivers": ["tool -n %", "cp /x/drivers/% /r/lib"],
    "nodebootif": ["tool -i %", "touch /r/var/lib/dhclient/dhclient-%.leases"],
    "otherifce": ["tool -r %", "touch /r/var/lib/dhclient/dhclient-%.leases"],
    "kernelver": [
      "tool -k %", "rm -rf /r/etc/zypp/repos.d/%.repo", "mkdir -p /tmp/xcatinitrd/lib/modules/%",
      "cp -r /r/lib/modules/%/modules.dep /tmp/xcatinitrd/lib/modules/%/modules.dep",
    ],
    "krpmver": ["tool -g %"], "permission": ["tool --permission %"],
    "kerneldir": ["tool --kerneldir %", "mount --rbind % /r/mnt/kerneldir"],
    "environvar": ["tool --env %"],
    "pkglist": ["tool --pkglist %"], "otherpkglist": ["tool --otherpkglist %"],
    "driverupdatesrc": ["tool --driverupdatesrc %"], "synclists": ["xdcp -i /r -F %"],
    "pkgdir": ["tool --srcdir \"%\""], "otherpkgdir": ["tool --otherpkgdir \"%\""],
    "postinstall": ["tool --postinstall \"%\""],
    "file": [
      "rm -rf /r%", "mkdir -p /r/.default%", "cp -r -a /r% /r/.default%", "touch /r%",
      "ln -sfn ../../x/.default% /r/.statelite/tmpfs%", "mv /r% /r/.statebackup%",
    ],
    "kitdir": ["rm -rf %", "cp -dr % /tmp/x"], "kitname": ["mv /k/% /k/%.ORIG"],
    "kitrepodir": ["cp -Rf % /o/", "ln -sf % /o/r"],
    "kitreponame": ["rm -rf /o/%", "umount -f /o/%"],
    "kitdeployparams": ["cat /k/other_files/%"], "exlist": ["cat /k/other_files/%"],
    "genimage_postinstall": [
      "rm -rf /install/postscripts/%", "cp -rf /k/other_files/% /install/postscripts/",
    ],
    "kitcomponent.postbootscripts": [
      "rm -rf /install/postscripts/%", "cp -rf /k/other_files/% /install/postscripts/",
    ],
  ]

  /// Returns the cases of one value. Lists are taken as a whole, and by element as xCAT splits them.
  /// - Parameter isGeneral: only the lines that every column has.
  static func cases(
    _ schema: TableSchema, _ column: String, _ value: String, isGeneral: Bool = false
  ) -> [Case] {
    let grammar = schema.grammar(of: column)
    let own =
      lines["\(schema.name).\(column)"] ?? (isOwn(schema, column) ? lines[column] ?? [] : [])
    var elements = [value]
    if case .list = grammar { elements += value.split(separator: ",").map(String.init) }
    // xCAT's own code, which reads the words, compares versions.
    if grammar == .comparison {
      elements = value.split { " ,<>=".contains($0) }.map(String.init)
    }
    var cases: [Case] = []
    for element in elements {
      var all = ["tool %"] + (isGeneral ? [] : own)
      // Names and relative paths follow directories.
      if grammar.reason("/a") != nil, grammar.reason("..") != nil { all.append("tool /p/%") }
      if grammar.reason("/a") == nil, grammar.reason("/..") != nil, element.hasPrefix("/") {
        all.append("tool /p/r%")
      }
      cases += all.map { makeCase(schema, column, $0, element) }
    }
    return cases
  }

  /// Two tables have a column exlist: paths in an image, names in a kit.
  private static func isOwn(_ schema: TableSchema, _ column: String) -> Bool {
    column != "exlist" || schema == .kitcomponent
  }

  private static func makeCase(
    _ schema: TableSchema, _ column: String, _ line: String, _ value: String
  ) -> Case {
    let grammar = schema.grammar(of: column)
    // A value that the grammar accepts with blanks is several words.
    let mayHaveBlanks = grammar.reason(value) == nil
    var hasOptions = false
    if case .list(.script) = grammar { hasOptions = true }
    var words: [String] = []
    var operands: Set<Int> = []
    var directories: [Int: String] = [:]
    for word in line.split(separator: " ").map(String.init) {
      let isQuoted = word.hasPrefix("\"")
      let bare = word.replacing("\"", with: "")
      guard let mark = bare.range(of: "%") else {
        words.append(bare)
        continue
      }
      let text = bare.replacing("%", with: value)
      let parts =
        isQuoted || !mayHaveBlanks ? [text] : text.split(separator: " ").map(String.init)
      if mark.lowerBound == bare.startIndex {
        operands.formUnion(words.count..<words.count + (hasOptions ? 1 : parts.count))
      }
      let before = bare[..<mark.lowerBound]
      if before.hasPrefix("/"), let slash = before.lastIndex(of: "/") {
        directories[words.count] = String(before[...slash])
      }
      words += parts
    }
    return Case(
      column: "\(schema.name).\(column)", value: value, line: line.replacing("%", with: value),
      words: words, operands: operands, directories: directories)
  }

  /// Runs all lines, each once.
  /// - Returns: for each, the deviation from the expected effect; nil if there is none.
  static func run(_ cases: [Case]) throws -> [String?] {
    let lines = Array(Set(cases.map(\.line))).sorted()
    let positions = Dictionary(uniqueKeysWithValues: lines.enumerated().map { ($1, $0) })
    let typed = try runBash(lines, isInteractive: false)
    let marked = lines.filter { $0.contains("!") }
    let pasted = Dictionary(
      uniqueKeysWithValues: zip(marked, try runBash(marked, isInteractive: true)))
    return cases.map { item in
      guard let position = positions[item.line] else { return "did not run" }
      for words in [typed[position], pasted[item.line] ?? item.words] where words != item.words {
        return "got the words \(words)"
      }
      for i in item.operands where item.words.indices.contains(i) && item.words[i].hasPrefix("-") {
        return "got the option \(item.words[i])"
      }
      for (i, directory) in item.directories where item.words.indices.contains(i) {
        if !(normalized(item.words[i]) + "/").hasPrefix(directory) {
          return "left \(directory) for \(item.words[i])"
        }
      }
      return nil
    }
  }

  private static func normalized(_ path: String) -> String {
    var parts: [Substring] = []
    for part in path.split(separator: "/") where part != "." {
      if part == ".." { _ = parts.popLast() } else { parts.append(part) }
    }
    return "/" + parts.joined(separator: "/")
  }

  /// Returns the words of each line. A file that a line writes, and its output on stderr, is a word of
  /// its own. Each line runs in a restricted shell, which neither writes files nor starts programs of
  /// other directories.
  private static func runBash(_ lines: [String], isInteractive: Bool) throws -> [[String]] {
    let directory = try TemporaryDirectory()
    let input = directory.path("lines")
    try Data(lines.map { Array($0.utf8) + [0] }.joined()).write(to: URL(fileURLWithPath: input))
    let result = try TestSupport.run(
      fixture("scripts/oracles/run-command-lines.sh"),
      arguments: [input, directory.path] + (isInteractive ? ["interactive"] : []))
    var runs: [[String]] = [[]]
    for word in result.output.split(separator: "\0", omittingEmptySubsequences: false).dropLast() {
      if word == "end" { runs.append([]) } else { runs[runs.count - 1].append(String(word)) }
    }
    guard runs.count == lines.count + 1, runs.last == ["7", "A=v", "link", "v", "victim"] else {
      throw TestFailure(
        "\(runs.count - 1) of \(lines.count) lines ran; then \(runs.last ?? []), "
          + "\(result.errors.suffix(500))")
    }
    return Array(runs.dropLast())
  }
}
