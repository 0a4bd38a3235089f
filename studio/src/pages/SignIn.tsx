import { useState } from "preact/hooks";
import { ask, hasToken, signIn } from "../api/http";
import { Button, messageOf } from "../ui/basics";
import { Icon } from "../ui/icons";

/** Asks for a token where the server has some. It is kept for this tab, until it is closed. */
export function SignIn() {
  const [token, setToken] = useState("");
  const [error, setError] = useState<string | null>(hasToken.value ? "The server does not know this token." : null);

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    try {
      await ask("/api/v1/workspaces", { headers: { Authorization: `Bearer ${token.trim()}` } });
      signIn(token);
    } catch (refusal) {
      setError(messageOf(refusal));
    }
  };

  return (
    <form class="sign-in" onSubmit={(event) => void submit(event)}>
      <span class="state-icon">
        <Icon name="lock" size={22} />
      </span>
      <h1>Sign in</h1>
      <p class="muted">This server asks for a token. It is kept in this tab only, until you close it.</p>
      <label class="form-row">
        <span>Token</span>
        <input
          class="field mono"
          type="password"
          autocomplete="off"
          autofocus
          required
          value={token}
          aria-invalid={error !== null}
          aria-describedby="sign-in-error"
          onInput={(event) => setToken(event.currentTarget.value)}
        />
      </label>
      <p id="sign-in-error" class="form-error" role="alert">
        {error}
      </p>
      <Button type="submit" look="primary">
        Sign in
      </Button>
    </form>
  );
}
