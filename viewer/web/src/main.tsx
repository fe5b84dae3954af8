import { render } from 'preact';
import { Page } from './page';
import { App } from './screen/app';
import { Theme } from './theme';
import 'uplot/dist/uPlot.min.css';
import './style.css';
import './probes.css';
import './history.css';

const address = new URL('ws', document.baseURI);
address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
address.hash = '';
address.search = '';

const page = new Page(address.href, {
  open: (url, protocols) => new WebSocket(url, protocols),
  now: () => Date.now(),
  random: () => Math.random(),
});
const theme = new Theme(window);
page.start(window);
const root = document.getElementById('page');
if (root !== null) render(<App page={page} theme={theme} />, root);
