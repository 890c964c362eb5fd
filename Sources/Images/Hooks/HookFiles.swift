// The files that `hooks enable` writes. They are part of the program, so that the binary alone is enough.
//
// 1. Each file has a line that says which command wrote it. `disable` removes no other file, and `enable` replaces
//    no other.
// 2. Each works without imgstore: if the binary does not exist any more, the operation goes on without snapshots.
// 3. No file of xCAT, apt or dnf is changed.
// 4. With RootDir, apt starts its hooks with the tree as their root directory, where imgstore is not. The
//    hook then says so, and refuses if that is its policy.

import Platform

/// An operation of another program that `hooks` can put between two snapshots.
public enum HookKind: String, Sendable, CaseIterable {
  case genimage, packimage, dnf, apt

  /// Whether the hook is a wrapper that stands before the real program in PATH.
  var isWrapper: Bool { self == .genimage || self == .packimage }
}

/// What happens to an operation whose snapshot fails.
public enum HookPolicy: String, Sendable, CaseIterable {
  /// A warning is printed, and the operation goes on.
  case warn
  /// The operation is refused.
  case refuse
}

/// A file of a hook.
struct HookFile {
  let path: AbsolutePath
  let mode: UInt16
  let text: String

  /// The line that marks a file as ours.
  static func mark(_ kind: String) -> String {
    "Written by 'imgstore hooks enable \(kind)'; 'imgstore hooks disable \(kind)' removes it."
  }

  private init?(_ path: String, mode: UInt16 = 0o644, _ text: String) {
    guard let path = AbsolutePath(path) else { return nil }
    (self.path, self.mode, self.text) = (path, mode, text)
  }

  /// The directory of the wrappers.
  static let wrapperDirectory = "/usr/local/lib/imgstore/hooks"

  /// Returns the file that puts the wrappers before xCAT's directories, which xCAT's own file puts first.
  static func profile() -> HookFile? {
    HookFile(
      "/etc/profile.d/zz-imgstore-hooks.sh",
      """
      # \(mark("genimage"))
      # The directory has wrappers of genimage and packimage that take snapshots.
      if [ -d \(wrapperDirectory) ]; then PATH=\(wrapperDirectory):$PATH; fi

      """)
  }

  /// Returns the wrapper of a program of xCAT.
  static func wrapper(_ kind: HookKind, program: String, policy: HookPolicy) -> HookFile? {
    let name = kind.rawValue
    return HookFile(
      "\(wrapperDirectory)/\(name)", mode: 0o755,
      """
      #!/bin/sh
      # \(mark(name))
      # Runs xCAT's \(name) between two snapshots of its image.
      for directory in "${XCATROOT:-/opt/xcat}/bin" "${XCATROOT:-/opt/xcat}/sbin"; do
        real=$directory/\(name)
        if [ -x "$real" ]; then
          if [ -x \(shellQuoted(program)) ]; then
            exec \(shellQuoted(program)) hook \(name) run --policy \(policy.rawValue) -- "$real" "$@"
          fi
          exec "$real" "$@"
        fi
      done
      echo "\(name): xCAT's \(name) was not found below ${XCATROOT:-/opt/xcat}" >&2
      exit 127

      """)
  }

  /// Returns the plugin for dnf 4.
  static func dnfPlugin(in directory: String, program: String, policy: HookPolicy) -> HookFile? {
    HookFile(
      "\(directory)/imgstore.py",
      """
      # \(mark("dnf"))
      # Takes snapshots of an image around each transaction in its tree (dnf --installroot TREE).
      import os
      import subprocess
      import sys

      import dnf
      import dnf.exceptions

      PROGRAM = \(pythonLiteral(program))
      POLICY = "\(policy.rawValue)"


      class Imgstore(dnf.Plugin):
          name = "imgstore"

          def _call(self, phase):
              root = self.base.conf.installroot
              if os.path.realpath(root) == "/" or not os.access(PROGRAM, os.X_OK):
                  return
              words = ["hook", "dnf", phase, "--policy", POLICY, "--root-tree", root, "--", "dnf"]
              status = subprocess.call([PROGRAM] + words + sys.argv[1:])
              if status != 0 and POLICY == "refuse" and phase == "before":
                  raise dnf.exceptions.Error("imgstore took no snapshot of " + root)

          def pre_transaction(self):
              self._call("before")

          def transaction(self):
              self._call("after")

      """)
  }

  /// Returns the actions for dnf 5 (libdnf5-actions(8)). dnf reads the standard output of an action as
  /// commands, and with `raise_error=1` a program that does not exist is an error. So a shell stands in
  /// between.
  static func dnfActions(program: String, policy: HookPolicy) -> HookFile? {
    let script = "if [ -x \(program) ]; then exec \(program) \"$@\" >&2; fi"
    func line(_ callback: String, _ phase: String, _ options: String) -> String {
      "\(callback):::enabled=installroot-only\(options):"
        + "/bin/sh -c \(script.replacing(" ", with: "\\ ")) imgstore hook dnf \(phase) "
        + "--policy \(policy.rawValue) --root-tree ${conf.installroot} -- dnf"
    }
    return HookFile(
      "/etc/dnf/libdnf5-plugins/actions.d/imgstore.actions",
      """
      # \(mark("dnf"))
      # Takes snapshots of an image around each transaction in its tree (dnf --installroot TREE).
      \(line("pre_transaction", "before", policy == .refuse ? " raise_error=1" : ""))
      \(line("post_transaction", "after", ""))

      """)
  }

  /// Returns apt's configuration.
  static func apt(program: String, policy: HookPolicy) -> HookFile? {
    let path = "/etc/apt/apt.conf.d/90imgstore"
    func command(_ phase: HookPhase) -> String {
      let word = shellQuoted(program)
      var text =
        "if [ -x \(word) ]; then \(word) hook apt \(phase.rawValue) --policy \(policy.rawValue) "
        + "--process $PPID; "
      // In the tree, there is no such file, unless imgstore is installed there, too.
      if phase == .before {
        text +=
          "elif [ -z $\(RunEnvironment.imageVariable) ] && [ ! -e \(path) ]; then echo '\(AptCommandLine.rootAdvice)' >&2; "
          + (policy == .refuse ? "exit 1; " : "")
      }
      return text + "fi"
    }
    return HookFile(
      path,
      """
      // \(mark("apt"))
      // Takes snapshots of an image when apt runs dpkg on its tree (-o Dir=TREE -o DPkg::Options::=--root=TREE).
      DPkg::Pre-Invoke { "\(command(.before))"; };
      DPkg::Post-Invoke { "\(command(.after))"; };

      """)
  }

  private static func pythonLiteral(_ text: String) -> String {
    "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
  }
}
