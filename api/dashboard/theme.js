// Runs before anything is drawn, so that nobody who chose dark is shown light first.
{
  const chosen = localStorage.getItem("ridgeline-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
