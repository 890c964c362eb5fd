// Node ranges, scripts of nodes and litefile rows, on tables in memory. Patterns are compared with
// Perl.

import Platform
import TestSupport
import Testing
import XCAT

/// Tables in memory.
struct MemoryTables: TableBackend {
  var tables: [String: [[String: String]]]
  let location = "memory"

  func rows(
    _ table: String, where key: (column: String, value: String)?
  ) throws -> [[String: String]] {
    (tables[table] ?? []).filter { row in key.map { row[$0.column] == $0.value } ?? true }
  }
  func apply(_ changes: [RowChange]) throws -> [String] { [] }
}

@Suite struct NodeRangeTests {
  private func lists(_ extra: [String: [[String: String]]] = [:]) throws -> NodeLists {
    var tables: [String: [[String: String]]] = [
      "nodelist": (1...12).map { n in
        ["node": "node\(n)", "groups": n <= 3 ? "compute,all" : n == 4 ? "storage,all" : "all"]
      } + ["n01", "n02", "n03", "a1-b", "a2-b", "r1s1.x", "r1s2.x", "r2s1.x"].map { ["node": $0] },
      "nodegroup": [
        ["groupname": "empty", "grouptype": "static"],
        ["groupname": "red", "grouptype": "dynamic", "wherevals": "os==rhels9::arch!=ppc64"],
        ["groupname": "few", "grouptype": "dynamic", "wherevals": "node=~^node1[0-2]?$"],
        ["groupname": "rest", "grouptype": "dynamic", "wherevals": "groups!~/compute/"],
        ["groupname": "odd", "grouptype": "dynamic", "wherevals": "mac==x"],
      ],
      "nodetype": [
        ["node": "compute", "os": "rhels9", "arch": "x86_64"],
        ["node": "node2", "arch": "ppc64"], ["node": "node5", "os": "rhels9"],
      ],
    ]
    tables.merge(extra) { $1 }
    return try NodeLists(MemoryTables(tables: tables))
  }

  @Test(arguments: [
    ("node1", "node1"), ("compute", "node1 node2 node3"), ("compute,-node2", "node1 node3"),
    ("-node2,compute", "node1 node3"), ("all@compute", "node1 node2 node3"),
    ("storage,compute@node2", "node2 node4"), ("node2-node4", "node2 node3 node4"),
    ("node2:node4", "node2 node3 node4"), ("node[2-4]", "node2 node3 node4"),
    ("node[1,10-11]", "node1 node10 node11"), ("n01-n03", "n01 n02 n03"),
    ("n[01-02]", "n01 n02"), ("a1-b-a2-b", "a1-b a2-b"), ("a1-b:a2-b", "a1-b a2-b"),
    ("r[1-1]s[1-2].x", "r1s1.x r1s2.x"), ("node2+2", "node2 node3 node4"),
    ("/node1.*", "node1 node10 node11 node12"), ("/n\\d+", "n01 n02 n03"), ("empty", ""),
    ("5", "node5"), ("red", "node1 node3"), ("few", "node1 node10 node11 node12"),
    ("red@few", "node1"), (" node1 , node2 ", "node1 node2"), ("", ""),
    ("storage,compute,-/node[12]", "node3 node4"),
  ])
  func `a node range expands to the nodes of xCAT`(_ range: String, _ nodes: String) throws {
    var lists = try lists()
    let found = try lists.expand(range)
    #expect(
      found == NodeSelection(nodes: nodes.split(separator: " ").map(String.init), unknown: []))
  }

  @Test func `nodes without the attribute do not match a criterion`() throws {
    var lists = try lists()
    let nodes = try lists.expand("rest").nodes
    #expect(!nodes.contains("node1") && nodes.contains("node4") && !nodes.contains("n01"))
  }

  @Test func `unknown names in a range are reported separately`() throws {
    var lists = try lists()
    #expect(
      try lists.expand("node1,gone,node[12-14],x-y")
        == NodeSelection(nodes: ["node1", "node12"], unknown: ["gone", "node13", "node14", "x-y"]))
  }

  @Test func `nodes that the site excludes are omitted`() throws {
    var lists = try lists(["site": [["key": "excludenodes", "value": "storage,node1"]]])
    #expect(try lists.expand("compute,storage").nodes == ["node2", "node3"])
  }

  @Test(arguments: [
    "(compute)", "^/etc/passwd", "nodetype.os==x", "'node1'", "node[3-1]", "node[1-2", "node[]",
    "node[1-999999999]", "node[01-100]", "/(a", "/a++", "/\\p{L}", "/[^a]*+", "/^*", "/a{,2}",
    "odd", "node+1", "node1@",
    "node99999999999999999999-node999999999999999999999", "/a$b",
  ])
  func `an unsupported range is refused`(_ range: String) throws {
    var lists = try lists()
    #expect(throws: XCATError.self) { try lists.expand(range) }
  }
}

@Suite struct PatternTests {
  private static let patterns = [
    "a", "^a", "a$", "^a*$", "a+?b", "(a|ab)(c|bcd)(d*)", "[^0-9]+", "\\D+(\\d+)", "(a+)+b",
    "n(o)?de(\\d{2,3})", ".*(\\d+).*$", ".*?(\\d+)", "\\z", "^$", "x*", "(?:ab)+", "(a)|b",
    "[a-c.]+",
    "(\\w+)-(\\d)", "[]a]+", "[a-]+", "[\\d.]+", "(a{2}){2}", "()", "(|a)", "(a*)(a*)",
    "a{0}b", "\\.", "(\\s|-)", "((a)|(b))+",
  ]

  @Test(.usesTools, arguments: seeds) func `patterns match as in Perl`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    let letters = ["a", "b", "c", "d", "n", "o", "e", "1", "2", "0", "-", ".", " "]
    var subjects = ["", "node12", "rack1-node07.x", "aab", "abcd", "aaaaaaaaaab"]
    for _ in 0..<40 {
      subjects.append(
        (0..<Int.random(in: 0...10, using: &random))
          .map { _ in letters.randomElement(using: &random) ?? "" }.joined())
    }
    var input = ""
    var ours = ""
    for pattern in PatternTests.patterns {
      for subject in subjects {
        input += "\(pattern)\t\(subject)\n"
        guard let match = try PerlPattern(pattern).firstMatch(in: subject) else {
          ours += "no\n"
          continue
        }
        let groups = match.groups.map { $0.map { "\($0.lowerBound)-\($0.upperBound)" } ?? "u" }
        ours +=
          ["\(match.range.lowerBound)-\(match.range.upperBound)"].joined() + " "
          + groups.joined(separator: " ") + "\n"
      }
    }
    let program = #"""
      while (<STDIN>) { chomp; my ($p, $s) = split /\t/, $_, 2;
        my $g = () = $p =~ /\((?!\?)/g;
        if ($s =~ /$p/) {
          print "$-[0]-$+[0] ", join(' ', map { defined $-[$_] ? "$-[$_]-$+[$_]" : 'u' } 1..$g), "\n" }
        else { print "no\n" } }
      """#
    let perl = try run("perl", arguments: ["-e", program], input: input).output
    let lines = zip(
      input.split(separator: "\n"),
      zip(
        ours.split(separator: "\n", omittingEmptySubsequences: false),
        perl.split(separator: "\n", omittingEmptySubsequences: false)))
    #expect(perl.utf8.count > 1000)
    for (line, (our, their)) in lines where our != their {
      Issue.record("\(line): \(our), not \(their)")
    }
  }

  @Test(arguments: [
    "(a*)*", "(|a)+", "(a?)+?", "^*", "a**", "a++", "a{,2}", "a{2", "[a", "(a", "a)", "\\1", "\\b",
    "(?i)a", "(?=a)", "[[:alpha:]]", "[b-a]", "a$b", "@x", "é", "\\", "\\p{L}", "a{1001}", "?",
  ])
  func `an unsupported pattern is refused`(_ pattern: String) {
    #expect(throws: XCATError.self) { try PerlPattern(pattern) }
  }

  @Test func `a pattern that would run forever is an error`() throws {
    let pattern = try PerlPattern("^(a+)+(a+)+(a+)+$")
    let subject = String(repeating: "a", count: 60) + "b"
    #expect(throws: XCATError.self) { try pattern.firstMatch(in: subject) }
  }
}

@Suite struct NodeScriptTests {
  private let tables = MemoryTables(tables: [
    "nodelist": [
      ["node": "node1", "groups": "g1,g2"], ["node": "node2", "groups": "g2,g1"],
      ["node": "node003", "groups": "g3"], ["node": "alone"],
    ],
    "postscripts": [
      [
        "node": "xcatdefaults", "postscripts": "syslog,remoteshell", "postbootscripts": "otherpkgs",
      ],
      ["node": "node1", "postscripts": "my1,my2"],
      ["node": "g1", "postscripts": "one", "postbootscripts": "boot1"],
      ["node": "g2", "postscripts": "two"],
      ["node": "g3", "postscripts": "/node/script/", "postbootscripts": "|rack($1/2+1)x|"],
    ],
  ])

  private func scripts(_ node: String, _ site: [[String: String]] = []) throws -> [String?] {
    var tables = tables
    tables.tables["site"] = site
    var lists = try NodeLists(tables)
    let scripts = try lists.scripts(of: node)
    return [scripts.postscripts, scripts.postbootscripts]
  }

  @Test func `a node has the default scripts and its own list or that of its first group`() throws {
    #expect(try scripts("node1") == ["syslog,remoteshell,my1,my2", "otherpkgs,boot1"])
    #expect(try scripts("node2") == ["syslog,remoteshell,two", "otherpkgs,boot1"])
    #expect(try scripts("alone") == ["syslog,remoteshell", "otherpkgs"])
    #expect(throws: XCATError.self) { try scripts("gone") }
  }

  @Test func `hierarchical attributes merge the lists of all groups, each name once`() throws {
    let site = [["key": "hierarchicalattrs", "value": "postscripts"]]
    #expect(try scripts("node1", site)[0] == "syslog,remoteshell,my1,my2,one,two")
    #expect(try scripts("node2", site)[0] == "syslog,remoteshell,two,one")
  }

  @Test func `values are derived from the node's name`() throws {
    #expect(try scripts("node003") == ["syslog,remoteshell,script003", "otherpkgs,rack2x"])
  }

  @Test(arguments: [
    "|x(sprintf('%d',$1))|", "|(2**3)|", "|($1/0)|", "|(010+$1)|", "|(system('id'))|", "|($2)|",
    "|nomatch|($1)|", "|(?<=x)|a|", "|(1+|", "|)|", "|(9223372036854775807+$1)|",
  ])
  func `a value that requires Perl is refused`(_ value: String) throws {
    var tables = tables
    tables.tables["postscripts"] = [["node": "g3", "postscripts": value]]
    var lists = try NodeLists(tables)
    // A value without "(" is text, and is kept.
    if value == "|)|" {
      #expect(try lists.scripts(of: "node003").postscripts != nil)
    } else {
      #expect(throws: XCATError.self, "\(value)") { try lists.scripts(of: "node003") }
    }
  }

  @Test func `an import replaces or extends the node's lists without the defaults`() throws {
    var lists = try NodeLists(tables)
    func columns(_ scripts: NodeScripts, _ appending: Bool) throws -> [[String: String]?] {
      let changes = try lists.rowChanges(["node1", "alone"], scripts, appending: appending)
      for change in changes { #expect(change.schema == .postscripts && change.keepsOtherColumns) }
      return changes.map { $0.columns?.merging($0.key) { $1 } }
    }
    let new = NodeScripts(postscripts: "syslog,my2,.yslog,my2", postbootscripts: "otherpkgs")
    #expect(
      try columns(new, false) == [
        ["node": "node1", "postscripts": "my2,.yslog"],
        ["node": "alone", "postscripts": "my2,.yslog"],
      ])
    #expect(
      try columns(new, true) == [
        ["node": "node1", "postscripts": "my1,my2,.yslog"],
        ["node": "alone", "postscripts": "my2,.yslog"],
      ])
    // Only defaults: as in xCAT, the nodes keep their own lists.
    #expect(try columns(NodeScripts(postscripts: "syslog", postbootscripts: nil), false).isEmpty)
    #expect(try columns(NodeScripts(postscripts: nil, postbootscripts: nil), false).isEmpty)
  }
}

@Suite struct LitefileTests {
  private let tables = MemoryTables(tables: [
    "litefile": [
      ["image": "ALL", "file": "/etc/hosts", "options": "rw"],
      ["image": "ALL", "file": "/etc/ntp.conf"],
      ["image": "g1", "file": "/g1", "options": "tmpfs"],
      ["image": "g2", "file": "/etc/hosts", "options": "ro"],
      ["image": "x", "file": "/other", "options": "ro"],
      ["file": "/none", "options": "con"], ["image": "i", "file": "/none", "options": "link"],
    ]
  ])

  @Test func `an image has the litefile rows that xCAT applies at run time`() throws {
    let rows = try LitefileRows.of(image: "i", groups: "g1,g2", tables)
    #expect(
      try LitefileRows.render(image: "i", rows) == """
        "i","/etc/hosts","rw",,
        "i","/etc/ntp.conf","tmpfs,rw",,
        "i","/g1","tmpfs",,
        "i","/none","link",,

        """)
    let plain = try LitefileRows.of(image: "j", groups: "", tables)
    #expect(plain.map(\.file) == ["/etc/hosts", "/etc/ntp.conf", "/none"])
  }

  @Test func `litefile rows are parsed, and rows for ALL are not repeated`() throws {
    let text =
      "\"i\",\"/etc/hosts\",\"rw\",,\n\"i\",\"/etc/ntp.conf\",\"tmpfs,rw\",,\n\"i\",\"/a b/\",,,\n"
    let rows = try LitefileRows.parse(Array(text.utf8), allowsUnsafeValues: true)
    #expect(
      rows == [
        LitefileRow(file: "/etc/hosts", options: "rw"),
        LitefileRow(file: "/etc/ntp.conf", options: "tmpfs,rw"),
        LitefileRow(file: "/a b/", options: "tmpfs,rw"),
      ])
    let changes = try LitefileRows.changes(
      image: "new", rows + [LitefileRow(file: "/etc/hosts", options: "ro")], tables)
    #expect(
      changes.map(\.key) == [
        ["image": "new", "file": "/a b/"], ["image": "new", "file": "/etc/hosts"],
      ])
    #expect(changes.map(\.columns) == [["options": "tmpfs,rw"], ["options": "ro"]])
  }

  @Test func `a damaged litefile list is refused`() throws {
    for text in [
      "\"i\",\"etc\",\"rw\",,\n", "\"i\"\n", "\"i\",\"/a\n\",\"rw\"", "\"i\",\"/a\",\"r\n\"",
    ] {
      #expect(throws: XCATError.self) { try LitefileRows.parse(Array(text.utf8)) }
    }
    #expect(throws: XCATError.self) {
      try LitefileRows.render(image: "i", [LitefileRow(file: "/a\"b", options: "rw")])
    }
  }
}
