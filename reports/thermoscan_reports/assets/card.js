// Unpacks the table of layers (layer_table.py says how it is packed), then sorts, filters, turns pages, follows #layer-N.
// T table, N names, R roles, S shapes, W reasons, K sort keys by column, O the layers listed, in order, p page of 30 rows.
(async ()=>{
let k=0,p=0,by,up,O;
const D=document,$=i=>D.getElementById(i),
zip=Uint8Array.from(atob($('rows').textContent),c=>c.charCodeAt()),
T=await new Response(new Blob([zip]).stream().pipeThrough(new DecompressionStream('gzip'))).json(),
words=w=>w.rows.map(r=>w.words[r]),
N=words(T.names).map(t=>t.replace(/\n/g,()=>T.names.numbers[k++])),
R=words(T.roles),S=words(T.shapes),W=T.numbers.map(c=>words(c.why)),
K=[[...N.keys()],...T.numbers.map(c=>[...c.letters].map((e,i)=>e=='.'?null :
+((e<'a'?'-':'')+c.digits.substr(3*i,3)+'e'+(e.toLowerCase().charCodeAt()-112))))],
show=(v,a=Math.abs(v))=>a&&a<1e-4?v.toExponential(2):a<999.5||a>=999500?v.toPrecision(3):v.toFixed(),
draw=()=>{
const a=p*30,z=Math.min(a+30,O.length),B=$('body');
B.textContent='';
O.slice(a,z).map(i=>{
const r=B.insertRow();
r.id='layer-'+i;r.className=T.flags[i]||'';
r.innerHTML='<th scope=row>';
r.firstChild.textContent=N[i];
r.insertCell().textContent=R[i];
r.insertCell().textContent=S[i];
W.map((w,j)=>{
const c=r.insertCell(),v=K[j+1][i];
c.textContent=v==null?'–':show(v);
c.title=w[i]
})
});
$('at').textContent=`${O.length&&a+1}–${z} of ${O.length.toLocaleString('en')}`;
$('prev').disabled=!p;$('next').disabled=z==O.length
},
list=()=>{
const q=$('q').value.toLowerCase(),v=K[by];
O=[...new Set([...T.first,...K[0]])].filter(i=>(N[i]+R[i]).toLowerCase().includes(q));
if (v) O.sort((a,b)=>(v[a]==null)-(v[b]==null)||(v[a]-v[b])*up);
p=0;draw()
},
jump=()=>{
const i=+location.hash.slice(7),h='#layer-'+i;
if (location.hash!=h||!N[i]) return;
if (!O.includes(i)) $('q').value='',list();
p=O.indexOf(i)/30|0;draw();
location.replace(h)
},
heads=D.querySelectorAll('thead button');
heads.forEach((b,j)=>{
b.disabled=0;
b.onclick=()=>{
up=by==j?-up:j?-1:1;by=j;list();
heads.forEach(h=>h.parentNode.ariaSort=h!=b?'none':up>0?'ascending':'descending')
}
});
$('prev').onclick=()=>draw(p--);
$('next').onclick=()=>draw(p++);
$('q').oninput=list;
onhashchange=jump;
$('tools').hidden=0;
list();jump()
})()
