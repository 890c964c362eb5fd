// imgstore serve.

import ArgumentParser
import Glibc
import Images

struct ServeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Serve the store to imgstore on other machines",
    discussion: """
      'push', 'pull' and 'clone' with an ssh:// URL start this command on the other host. Nobody needs to run it \
      by hand.

      A forced command in authorized_keys limits an account to it. With --store, --read-only or \
      --append-only, clients cannot choose another store.

      Examples (lines of ~/.ssh/authorized_keys):
        restrict,command="imgstore serve --stdio --store /srv/imgstore --read-only" ssh-ed25519 AAAA…
        restrict,command="imgstore serve --stdio --store /srv/imgstore --append-only" ssh-ed25519 AAAA…
      """)

  @Flag(help: "Serve one client on standard input and output") var stdio = false
  @Flag(help: "Let clients read, and add nothing") var readOnly = false
  @Flag(help: "Let clients push, and delete, overwrite or move nothing") var appendOnly = false
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard stdio else { throw ValidationError("Give --stdio.") }
    if readOnly, appendOnly {
      throw ValidationError("Give --read-only or --append-only, not both.")
    }
  }

  func run() throws {
    guard isatty(0) == 0 else {
      throw ValidationError(
        "Standard input is a terminal. 'push' and 'pull' on another machine start this command.")
    }
    let rights: ServeRequest.Rights = readOnly ? .readOnly : appendOnly ? .appendOnly : .full
    let request = ServeRequest(
      rights: rights, allowsOtherStores: rights == .full && !common.namesStore)
    try common.open().serveStdio(request)
  }
}
